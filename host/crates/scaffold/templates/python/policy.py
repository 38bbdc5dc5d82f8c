"""{{name}}: refuses a word in the subject, marks the rest. Begin here.

The module `wit_world` is made from wit/ by the build.
"""

import json

from componentize_py_types import Err
from wit_world import exports

# What the server offers: one module for each interface that wit/policy.wit imports.
from wit_world.imports import config
from wit_world.imports.decisions import (
    Decision,
    Edit_AddHeader,
    HeaderAdd,
    HeaderPosition_First,
    Verdict_Next,
    Verdict_Reject,
)
from wit_world.imports.types import Refusal

# Filled by init, which runs once: the server freezes what it made, and every call starts from there.
settings = {}


class Lifecycle(exports.Lifecycle):
    def describe(self):
        return exports.lifecycle.Descriptor("{{name}}", "0.1.0", "Refuses a word in the subject", None)

    def init(self):
        word = json.loads(config.get()).get("word", "casino")
        if not isinstance(word, str) or not word:
            raise Err("word: must be a text")
        settings["word"] = word.lower()


# More hooks: an export in wit/policy.wit, and a class here.
class MessageHook(exports.MessageHook):
    def on_message(self, session, message):
        """The whole message, before the server takes it."""
        subject = (message.header("Subject") or "").lower()
        if settings["word"] in subject:
            return Decision(Verdict_Reject(Refusal((5, 7, 1), f"No {settings['word']} here")), [])
        seen = HeaderAdd("X-Seen-By", b"{{name}}", HeaderPosition_First())
        return Decision(Verdict_Next(), [Edit_AddHeader(seen)])
