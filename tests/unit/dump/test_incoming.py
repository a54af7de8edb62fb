"""A dump that comes to the host: whole or not at all, by https alone, with a checksum, and its predecessors go."""
from __future__ import annotations

import hashlib
import http.server
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from ansible.module_utils.dev_refresh.dump.fetch import INCOMING_OPTIONS, fetch
from ansible.module_utils.dev_refresh.dump.incoming import Incoming, name_of
from ansible.module_utils.dev_refresh.errors import RefreshError

DATA = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(DATA).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


def options(**given):
    return {name: option.get("default") for name, option in INCOMING_OPTIONS.items()} | {"label": "jobs_dev", **given}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Serve a folder by https on loopback; its certificate is trusted here alone."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "files").mkdir()
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    try:
        subprocess.run([*made, "-keyout", folder / "key", "-out", folder / "cert"], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no openssl on this machine to make a certificate with: nothing is tested by https")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder / "files"))

        def do_GET(self):
            if self.path.startswith("/elsewhere"):
                self.send_response(302)
                self.send_header("Location", "http://localhost/" if "plain" in self.path else "/production.dump")
                self.end_headers()
            elif self.path.startswith("/short"):
                self.send_response(200)
                self.send_header("Content-Length", str(len(DATA)))
                self.end_headers()
                self.wfile.write(DATA[:1000])
            else:
                super().do_GET()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (folder / "files" / "production.dump").write_bytes(DATA)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(folder / "cert"))
        yield f"https://localhost:{server.server_address[1]}", folder / "files"
    server.shutdown()


def get(served, tmp_path, path="/production.dump", *, check_mode=False, checksum=f"sha256:{SHA256}", **more):
    return fetch(options(source=served[0] + path, checksum=checksum, **more), folder=tmp_path / "incoming", check_mode=check_mode)


def test_it_is_downloaded_once(served, tmp_path):
    first = get(served, tmp_path)
    assert first["changed"]
    assert Path(first["dump_path"]).read_bytes() == DATA
    assert oct(Path(first["dump_path"]).stat().st_mode)[-3:] == "600"
    assert oct((tmp_path / "incoming").stat().st_mode)[-3:] == "700"
    assert not get(served, tmp_path)["changed"]


def test_a_dry_run_writes_nothing(served, tmp_path):
    found = get(served, tmp_path, check_mode=True)
    assert (found["changed"], found["present"]) == (True, False)
    assert not (tmp_path / "incoming").exists()


def test_the_checksum_beside_it_counts(served, tmp_path):
    sidecar = served[1] / "production.dump.sha256"
    sidecar.write_text(f"{SHA256}  production.dump\n")
    try:
        assert get(served, tmp_path, checksum=None)["sha256"] == SHA256
    finally:
        sidecar.unlink()


@pytest.mark.parametrize(
    ("path", "checksum", "message"),
    [
        ("/production.dump", None, "needs a checksum"),
        ("/production.dump", f"sha256:{OTHER}", "damaged on the way"),
        ("/none.dump", f"sha256:{SHA256}", "answered 404"),
        ("/short.dump", f"sha256:{SHA256}", "of 1280000 bytes|could not be fetched"),
        ("/elsewhere_plain.dump", f"sha256:{SHA256}", "not an https address"),
        ("/production.dump", "md5:1", "not of the form"),
    ],
)
def test_what_is_refused_leaves_nothing(served, tmp_path, path, checksum, message):
    with pytest.raises(RefreshError, match=message):
        get(served, tmp_path, path, checksum=checksum)
    folder = tmp_path / "incoming"
    assert [each.name for each in folder.glob("*.dump")] == [] if folder.exists() else True


def test_an_address_with_a_password_does_not_show_it():
    with pytest.raises(RefreshError) as caught:
        name_of("http://user:wonderful-secret@example.com/a.dump?key=wonderful-secret")
    assert "wonderful" not in str(caught.value)


def test_predecessors_of_the_same_label_go_and_other_files_stay(tmp_path):
    def put(name, label):
        incoming = Incoming(tmp_path / "in", name, label, SHA256)
        incoming.prepare(len(DATA))
        incoming.part.write_bytes(DATA)
        return incoming.finish(SHA256, proven=True)

    (tmp_path / "in").mkdir(mode=0o700)
    (tmp_path / "in" / "mine.dump").write_text("not yours")
    put("a.dump", "one")
    put("b.dump", "two")
    assert put("c.dump", "one") == [str(tmp_path / "in" / "a.dump")]
    assert {path.name for path in (tmp_path / "in").glob("*.dump")} == {"mine.dump", "b.dump", "c.dump"}
    assert not (tmp_path / "in" / "a.dump.sha256").exists()


def test_a_damaged_piece_is_noticed(tmp_path):
    incoming = Incoming(tmp_path / "in", "a.dump", "one", SHA256)
    incoming.prepare(len(DATA))
    incoming.part.write_bytes(DATA[:-1])
    with pytest.raises(RefreshError, match="came damaged"):
        incoming.finish(SHA256, proven=False)
    assert list((tmp_path / "in").iterdir()) == []


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a.part", "a.dump.sha256"])
def test_odd_names_are_refused(tmp_path, name):
    with pytest.raises(RefreshError, match="cannot be the name"):
        Incoming(tmp_path, name, "one", None)


def test_a_folder_of_somebody_elses_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in").chmod(0o777)
    with pytest.raises(RefreshError, match="database_restore_incoming_dir"):
        Incoming(tmp_path / "in", "a.dump", "one", SHA256).prepare(1)
