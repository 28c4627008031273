"""Makes corpus/network-filter: bytes that real HTTP/1 programs and TLS handshakes put on the wire.

HTTP: curl, wget, Python and Node (those that are installed) talk to a local server through a capturing proxy;
the heads of the two common browsers are given below as they send them. TLS: handshakes between OpenSSL client
and server through `ssl.MemoryBIO`, and the first flight of curl. Run it again to add seeds: a file's name is
the SHA-256 of its content.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CORPUS = Path(__file__).resolve().parent / "network-filter"
MAX_SEED_BYTES = 8192

BROWSER_HEADS = (
    # Firefox 128 on Linux, address bar navigation
    "GET /index.html HTTP/1.1\r\nHost: www.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\nSec-Fetch-User: ?1\r\n"
    "Priority: u=0, i\r\n\r\n",
    # Chromium 126 on Linux, a form that was sent
    "POST /login HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\nContent-Length: 27\r\n"
    'Cache-Control: max-age=0\r\nsec-ch-ua: "Not/A)Brand";v="8", "Chromium";v="126"\r\n'
    "sec-ch-ua-mobile: ?0\r\n"
    'sec-ch-ua-platform: "Linux"\r\nUpgrade-Insecure-Requests: 1\r\nOrigin: http://www.example.com\r\n'
    "Content-Type: application/x-www-form-urlencoded\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 "
    "(KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Accept-Encoding: gzip, deflate\r\nAccept-Language: en-US,en;q=0.9\r\n\r\nuser=example&password=hello",
    # Chromium 126, WebSocket upgrade
    "GET /socket HTTP/1.1\r\nHost: www.example.com\r\nConnection: Upgrade\r\nPragma: no-cache\r\n"
    "Upgrade: websocket\r\nOrigin: http://www.example.com\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
)


class _Pages(BaseHTTPRequestHandler):
    """Answers that cover a body with a length, a chunked one, a redirect and an error."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        return

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
        elif self.path == "/missing":
            self.send_error(404)
        else:
            body = b"<!doctype html><title>hello</title>\n"
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Set-Cookie", "session=0123456789abcdef; Path=/; HttpOnly")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = do_OPTIONS = _answer


def _receive(connection: socket.socket, quiet_seconds: float) -> bytes:
    """Everything that arrives until the other side has been quiet for that long or has closed."""
    connection.settimeout(quiet_seconds)
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except TimeoutError:
        pass
    return received


class _Tap:
    """A TCP proxy on a free local port that keeps what each side of every connection sent first."""

    def __init__(self, upstream: int | None) -> None:
        self.captured: list[bytes] = []
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                self._exchange(client)

    def _exchange(self, client: socket.socket) -> None:
        try:
            request = _receive(client, 0.2)
            if not request:
                return
            self.captured.append(request)
            if self._upstream is None:
                return
            with socket.create_connection(("127.0.0.1", self._upstream), timeout=1.0) as server:
                server.sendall(request)
                answer = _receive(server, 0.2)
            self.captured.append(answer)
            client.sendall(answer)
        except OSError:
            return

    def close(self) -> None:
        self._listener.close()


def _clients(base: str) -> Iterator[list[str]]:
    if curl := shutil.which("curl"):
        quiet = [curl, "-s", "-o", "/dev/null", "--max-time", "3"]
        yield [*quiet, f"{base}/"]
        yield [*quiet, "-d", "name=value&other=1", f"{base}/form"]
        yield [*quiet, "-I", f"{base}/"]
        yield [
            *quiet,
            "--compressed",
            "-H",
            "Range: bytes=0-99",
            "-b",
            "session=0123456789abcdef",
            f"{base}/chunked",
        ]
        yield [*quiet, "-X", "DELETE", f"{base}/item/1"]
        yield [*quiet, "-T", __file__, "--expect100-timeout", "0.1", f"{base}/upload"]
        yield [*quiet, "--http1.0", f"{base}/moved"]
    if wget := shutil.which("wget"):
        yield [wget, "-q", "-O", "/dev/null", "--timeout=3", "--tries=1", f"{base}/missing"]
    if node := shutil.which("node"):
        yield [node, "-e", f"fetch('{base}/',{{method:'POST',body:JSON.stringify({{a:1}})}}).catch(()=>0)"]
    code = f"import urllib.request as u; u.urlopen('{base}/', timeout=3).read()"
    yield [sys.executable, "-c", code]


def http_seeds() -> list[bytes]:
    """Requests of the installed clients and the answers of Python's server, as captured on a local port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tap = _Tap(server.server_address[1])
    for command in _clients(f"http://127.0.0.1:{tap.port}"):
        subprocess.run(command, timeout=10, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    tap.close()
    server.shutdown()
    return [*tap.captured, *(head.encode() for head in BROWSER_HEADS)]


def _certificate(folder: Path) -> tuple[str, str]:
    key, certificate = folder / "key.pem", folder / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=www.example.com",
    ]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return str(certificate), str(key)


def _handshake(client_context: ssl.SSLContext, server_context: ssl.SSLContext, name: str) -> list[bytes]:
    """Every flight of one handshake, one exchange of application data and the closing alerts."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(
        to_server_in := ssl.MemoryBIO(), server_out := ssl.MemoryBIO(), server_side=True
    )
    flights: list[bytes] = []

    def step(action: Callable[[], object]) -> None:
        # It wants more bytes, or the other side has closed: the flights so far are what counts.
        with contextlib.suppress(ssl.SSLError):
            action()
        for source, sink in ((to_server, to_server_in), (server_out, to_client)):
            if data := source.read():
                flights.append(data)
                sink.write(data)

    for _ in range(3):
        step(client.do_handshake)
        step(server.do_handshake)
    step(lambda: client.write(b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n"))
    step(lambda: server.read(4096))
    step(lambda: server.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    step(lambda: client.read(4096))
    step(client.unwrap)
    step(server.unwrap)
    return flights


def tls_seeds() -> list[bytes]:
    """Flights of TLS 1.2 and 1.3 handshakes with and without ALPN, and curl's ClientHello."""
    seeds: list[bytes] = []
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = _certificate(Path(folder))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for alpn in ([], ["h2", "http/1.1"]):
                server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                server_context.load_cert_chain(certificate, key)
                client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
                client_context.minimum_version = client_context.maximum_version = version
                if alpn:
                    server_context.set_alpn_protocols(alpn)
                    client_context.set_alpn_protocols(alpn)
                seeds += _handshake(client_context, server_context, "www.example.com")
    if curl := shutil.which("curl"):
        tap = _Tap(None)
        subprocess.run(
            [curl, "-sk", "--max-time", "2", f"https://localhost:{tap.port}/"], capture_output=True
        )
        tap.close()
        seeds += tap.captured
    return seeds


def main() -> None:
    """Writes each captured byte string to a file named by its SHA-256."""
    CORPUS.mkdir(exist_ok=True)
    for seed in [*http_seeds(), *tls_seeds()]:
        if 0 < len(seed) <= MAX_SEED_BYTES:
            (CORPUS / hashlib.sha256(seed).hexdigest()).write_bytes(seed)
    print(f"{len(list(CORPUS.iterdir()))} seeds in {CORPUS}")


if __name__ == "__main__":
    main()
