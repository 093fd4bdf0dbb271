"""Mail servers with sign-in, which the server's alerts go to: in the clear, by STARTTLS, by TLS at once.

`certify DIRECTORY` makes their certificate and its authority's, which the server is to trust; `check DIRECTORY URL
ADMIN_KEY` is the check. Every letter is read by Python's own parser. What is not as it should be ends the program with a word on it.
"""

import asyncio
import json
import pathlib
import ssl
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime, timezone
from email import message_from_bytes, policy
from email.utils import parsedate_to_datetime

import trustme
from aiosmtpd.smtp import SMTP, AuthResult

STEP, DIRECTORY = sys.argv[1], pathlib.Path(sys.argv[2])
URL, ADMIN_KEY = sys.argv[3:5] if STEP == "check" else ("", "")
USER, PASSWORD = b"tollbook", "Paßwort mit Raum".encode()
# Whatever an address and a name may have in them.
FROM, TO = "Tollbook <tollbook@b.example>", ["Ann Ö. <ann@b.example>", "bob+alerts@b.example"]
BUDGET = "Größe ✓ <team>, \"quoted\" " + "long " * 20
PATIENCE_S = 15


class Letters:
    """Keeps what is delivered."""

    def __init__(self):
        self.taken = []

    async def handle_DATA(self, server, session, envelope):
        letter = message_from_bytes(envelope.content, policy=policy.default)
        self.taken.append((envelope.mail_from, sorted(envelope.rcpt_tos), letter, envelope.content))
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    is_known = (data.login, data.password) == (USER, PASSWORD)
    return AuthResult(success=is_known, handled=is_known)


def must(holds, what):
    if not holds:
        sys.exit(f"not as it should be: {what}")


def ask(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}{path}", data=data, method=method)
    request.add_header("authorization", f"Bearer {ADMIN_KEY}")
    request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {path}: {error.code} {error.read().decode()}")


def channel(name, port, password=PASSWORD.decode(), tls="none", host="localhost"):
    ask("POST", "/api/v1/channels", {
        "name": name, "kind": "email", "from": FROM, "to": TO, "smtp_host": host, "smtp_port": port,
        "smtp_tls": tls, "smtp_user": USER.decode(), "smtp_password": password, "allow_private": True,
    })
    return ask("POST", f"/api/v1/channels/{name}/test")


def check_tls(ports, letters):
    """Each way to a server that speaks it delivers; to one that does not, nothing goes, least of all the password."""
    for way in ports:
        told = channel(f"by-{way}", ports[way], tls=way)
        must(told == {"delivered": True, "error": None}, f"{way}: {told}")
    for name, port, tls, host, word in [
        ("no-starttls-there", "none", "starttls", "localhost", "STARTTLS"),
        ("no-tls-there", "none", "implicit", "localhost", "TLS failed"),
        ("another-name", "implicit", "implicit", "127.0.0.1", "certificate"),
        ("another-name-later", "starttls", "starttls", "127.0.0.1", "certificate"),
        ("only-with-starttls", "starttls", "none", "localhost", "530"),
    ]:
        told = channel(name, ports[port], tls=tls, host=host)
        must(told["delivered"] is False and word in told["error"], f"{name}: {told}")
    must(len(letters.taken) == len(ports), f"{len(letters.taken)} letters for {len(ports)} ways")
    letters.taken.clear()


def check(ports, letters):
    check_tls(ports, letters)
    told = channel("ops", ports["none"])
    must(told == {"delivered": True, "error": None}, f"a test message: {told}")
    told = channel("wrong", ports["none"], "another")
    must(told["delivered"] is False and "535" in told["error"], f"a wrong password: {told}")
    ask("POST", "/api/v1/budgets", {
        "name": BUDGET, "limit_calls": 1, "window": "total", "warn_at": [100], "at_limit": "warn", "notify": ["ops"],
    })
    ask("POST", "/api/v1/events", {
        "id": "one", "occurred_at": datetime.now(timezone.utc).isoformat(), "provider": "openai", "model": "gpt-5",
        "usage": {"input_tokens": 10, "output_tokens": 1},
    })
    since = time.monotonic()
    while len(letters.taken) < 2 and time.monotonic() - since < PATIENCE_S:
        time.sleep(0.05)
    time.sleep(1)
    must(len(letters.taken) == 2, f"{len(letters.taken)} letters, not a test and an alert")
    for sender, receivers, letter, raw in letters.taken:
        must(sender == "tollbook@b.example", sender)
        must(receivers == ["ann@b.example", "bob+alerts@b.example"], receivers)
        must([address.display_name for address in letter["to"].addresses] == ["Ann Ö.", ""], letter["to"])
        must(letter.get_content_type() == "text/plain" and not letter.defects, letter.defects)
        must(abs(time.time() - parsedate_to_datetime(letter["date"]).timestamp()) < 300, letter["date"])
        must(all(len(line) <= 998 for line in raw.split(b"\r\n")), "a line is longer than mail may have")
    alert = ask("GET", "/api/v1/alerts")["data"][0]
    letter = letters.taken[1][2]
    must(letter["subject"] == alert["summary"] and BUDGET.strip() in alert["summary"], letter["subject"])
    must(letter["message-id"] == f"<{alert['id']}@tollbook>", letter["message-id"])
    must(alert["summary"] in letter.get_content(), letter.get_content())
    must([delivery["state"] for delivery in alert["deliveries"]] == ["delivered"], alert["deliveries"])
    print(f"{len(letters.taken)} letters and {len(ports)} ways there, a wrong password refused")


def certify():
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(DIRECTORY / "authority.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(DIRECTORY / "server.pem")


async def main():
    letters = Letters()
    loop = asyncio.get_running_loop()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(DIRECTORY / "server.pem")

    async def listen(outer=None, **more):
        known = {"authenticator": authenticate, "auth_required": True, "auth_require_tls": False}
        server = await loop.create_server(lambda: SMTP(letters, **known, **more), "127.0.0.1", 0, ssl=outer)
        return server, server.sockets[0].getsockname()[1]

    listening = {
        "none": await listen(),
        "starttls": await listen(tls_context=tls, require_starttls=True),
        "implicit": await listen(outer=tls),
    }
    await loop.run_in_executor(None, check, {way: port for way, (_, port) in listening.items()}, letters)


if STEP == "certify":
    certify()
else:
    asyncio.run(main())
