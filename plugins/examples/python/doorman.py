"""Doorman in Python: refuses subjects with blocked words, limits how much a sender may send, marks the rest.

The same policy is beside this folder in Rust, JavaScript and C. The functions that the server calls are at the end: a class for each
interface that wit/doorman.wit exports, its functions in snake_case. The module `wit_world` is made from wit/ by the build.
"""

import json
import re

from componentize_py_types import Err
from wit_world import exports

# What the server offers: one module for each interface that the world imports.
from wit_world.imports import config, log, store
from wit_world.imports.decisions import (
    Decision,
    Edit_AddHeader,
    Edit_Tag,
    HeaderAdd,
    HeaderPosition_First,
    Verdict_Next,
    Verdict_Reject,
    Verdict_Tempfail,
)
from wit_world.imports.types import Refusal

# How long a sender's messages are counted before the count begins again, seconds.
WINDOW_SECONDS = 3600

# What the configuration says. Filled by init, which runs once: the server freezes what it made, and every call starts from there.
settings = {"blocked": [], "limit": 100, "tag": "X-Doorman"}


def is_words(value):
    return isinstance(value, list) and all(isinstance(word, str) and word for word in value)


def is_limit(value):
    return type(value) is int and value >= 1  # bool is an int, too


def is_field_name(value):
    # Printable, without blanks and colons (RFC 5322 §3.6.8).
    return isinstance(value, str) and re.fullmatch("[!-9;-~]+", value) is not None


# What a legal value of each key is, and what it is called.
KEYS = {
    "blocked": (is_words, "a list of words"),
    "limit": (is_limit, "a whole number from 1"),
    "tag": (is_field_name, "the name of a header field"),
}


def parse(text):
    try:
        values = json.loads(text)
    except ValueError as error:
        raise Err(f"not JSON: {error}")
    if not isinstance(values, dict):
        raise Err("the configuration must be an object")
    for key, value in values.items():
        if key not in KEYS:
            raise Err(f"{key}: there is no such key")
        is_legal, wanted = KEYS[key]
        if not is_legal(value):
            raise Err(f"{key}: must be {wanted}")
    return values


class Lifecycle(exports.Lifecycle):
    def describe(self):
        summary = "Refuses blocked subjects, limits senders, marks the rest"
        return exports.lifecycle.Descriptor("doorman", "0.1.0", summary, None)

    def init(self):
        settings.update(parse(config.get()))


class RcptHook(exports.RcptHook):
    def on_rcpt(self, session, sender, recipient):
        """For each recipient, before the message comes."""
        # Reports of failed deliveries come from <>, whoever sends them.
        if sender == "":
            return Decision(Verdict_Next(), [])
        try:
            # The table outlives this call: variables do not.
            count = store.increment(f"sender:{sender}", 1, WINDOW_SECONDS)
        except Err as error:
            log.log(log.Level.WARN, f"not counted: {error.value}")
            return Decision(Verdict_Next(), [])
        if count > settings["limit"]:
            return Decision(Verdict_Tempfail(Refusal((4, 7, 1), "Too much mail from you")), [])
        return Decision(Verdict_Next(), [])


class MessageHook(exports.MessageHook):
    def on_message(self, session, message):
        """The whole message, before the server takes it."""
        # Decoded already: `=?utf-8?q?C=61sino?=` says "Casino".
        subject = (message.header("Subject") or "").lower()
        for word in settings["blocked"]:
            if word.lower() in subject:
                return Decision(Verdict_Reject(Refusal((5, 7, 1), f"No {word} here")), [])
        said = f"doorman; size={message.size()}; parts={len(message.parts())}"
        mark = HeaderAdd(settings["tag"], said.encode(), HeaderPosition_First())
        return Decision(Verdict_Next(), [Edit_AddHeader(mark), Edit_Tag(("doorman", "seen"))])
