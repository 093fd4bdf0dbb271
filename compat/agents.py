"""Requests as coding agents and clients of other gateways send them, by plain HTTP."""

import http.client
import json
import os
import urllib.parse

from said import refusals, say

OPENAI, ANTHROPIC = os.environ["OPENAI_BASE_URL"], os.environ["ANTHROPIC_BASE_URL"]
BEARER = {"authorization": f"Bearer {os.environ['COMPAT_KEY']}"}
SESSION = "0f9e8d7c-1111-4222-8333-944455566677"
ACCOUNT = "11112222-3333-4444-8555-666677778888"
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is a ledger for?"}]}
MESSAGE = {**CHAT, "model": "claude-sonnet-4-5", "max_tokens": 99}


def post(url, body, headers):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    connection.request("POST", target, json.dumps(body), {"content-type": "application/json", **headers})
    answer = connection.getresponse()
    return answer.status, answer.getheader("content-type"), answer.read().decode()


def ask(name, url, body, headers, **books):
    status, kind, text = post(url, body, {**BEARER, **headers})
    say(name, books=books, status=status, kind=kind, text=text)


def refused(url, key):
    status, _, text = post(f"{url}/v1/chat/completions", CHAT, {"authorization": f"Bearer {key}"})
    return {"status": status, "error": json.loads(text)["error"]["code"]}


refusals(refused)
claude = {
    "user-agent": "claude-cli/2.1.0 (external, cli)",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14",
    "x-app": "cli",
}
user_id = f"user_{'ab' * 32}_account_{ACCOUNT}_session_{SESSION}"
ids = json.dumps({"device_id": "cd" * 32, "account_uuid": ACCOUNT, "session_id": SESSION})
for name, told, headers in [
    ("Claude Code, ids in a text", user_id, {}),
    ("Claude Code, ids in an object", ids, {}),
    ("Claude Code, session header", user_id, {"x-claude-code-session-id": SESSION}),
]:
    body = {**MESSAGE, "stream": True, "metadata": {"user_id": told}}
    ask(name, f"{ANTHROPIC}/v1/messages?beta=true", body, {**claude, **headers}, user=ACCOUNT, session=SESSION)

codex = {"originator": "codex_cli_rs", "user-agent": "codex_cli_rs/0.60.0", "accept": "text/event-stream"}
body = {"model": "gpt-4o-mini", "input": "What is a ledger for?", "stream": True, "store": False}
for name, headers, more in [
    ("Codex", {"session-id": SESSION, "thread-id": SESSION}, {}),
    ("Codex, older", {"session_id": SESSION, "conversation_id": SESSION}, {}),
    ("Codex, cache key", {}, {"prompt_cache_key": SESSION}),
]:
    ask(name, f"{OPENAI}/responses", {**body, **more}, {**codex, **headers}, session=SESSION)

chat = f"{OPENAI}/chat/completions"
for name, headers in [
    ("LiteLLM's headers", {"x-litellm-end-user-id": "ada", "x-litellm-session-id": SESSION}),
    ("Helicone's headers", {"helicone-user-id": "ada", "helicone-session-id": SESSION}),
    ("own headers", {"x-tollbook-user": "ada", "x-tollbook-session": SESSION}),
    ("baggage", {"baggage": f"user.id=ada,session.id={SESSION}"}),
]:
    ask(name, chat, CHAT, headers, user="ada", session=SESSION)
ask("Portkey's headers", chat, CHAT, {"x-portkey-metadata": json.dumps({"_user": "ada"})}, user="ada")
