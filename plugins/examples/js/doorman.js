// Doorman in JavaScript: refuses subjects with blocked words, limits how much a sender may send, marks the rest.
//
// The same policy is beside this folder in Rust, Python and C. The functions that the server calls are at the end: an exported object
// for each interface that wit/doorman.wit exports, its functions in camelCase.

// What the server offers: one module for each interface that the world imports.
import config from "maitred:plugin/config@0.1.1";
import log from "maitred:plugin/log@0.1.1";
import store from "maitred:plugin/store@0.1.1";

// How long a sender's messages are counted before the count begins again, seconds.
const WINDOW_SECONDS = 3600;

// What the configuration says. Set by init, which runs once: the server freezes what it made, and every call starts from there.
let settings = { blocked: [], limit: 100, tag: "X-Doorman" };

// What a legal value of each key is, and what it is called.
const KEYS = {
    blocked: [
        (value) => Array.isArray(value) && value.every((word) => typeof word === "string" && word !== ""),
        "a list of words",
    ],
    limit: [(value) => Number.isSafeInteger(value) && value >= 1, "a whole number from 1"],
    // Printable, without blanks and colons (RFC 5322 §3.6.8).
    tag: [(value) => typeof value === "string" && /^[!-9;-~]+$/.test(value), "the name of a header field"],
};

function parse(text) {
    let object;
    try {
        object = JSON.parse(text);
    } catch (error) {
        throw `not JSON: ${error.message}`;
    }
    if (object === null || typeof object !== "object" || Array.isArray(object)) {
        throw "the configuration must be an object";
    }
    for (const [key, value] of Object.entries(object)) {
        if (!Object.hasOwn(KEYS, key)) {
            throw `${key}: there is no such key`;
        }
        const [isLegal, wanted] = KEYS[key];
        if (!isLegal(value)) {
            throw `${key}: must be ${wanted}`;
        }
    }
    return { ...settings, ...object };
}

// A variant is an object with a tag and perhaps a value, a record an object, a tuple an array.
const next = (...edits) => ({ verdict: { tag: "next" }, edits });
const refuse = (verdict, enhanced, text) => ({ verdict: { tag: verdict, val: { enhanced, text } }, edits: [] });

export const lifecycle = {
    describe() {
        const summary = "Refuses blocked subjects, limits senders, marks the rest";
        return { name: "doorman", version: "0.1.0", summary, configSchema: null };
    },

    // An error is thrown: a text.
    init() {
        settings = parse(config.get());
    },
};

export const rcptHook = {
    // For each recipient, before the message comes.
    onRcpt(session, sender, recipient) {
        // Reports of failed deliveries come from <>, whoever sends them.
        if (sender === "") {
            return next();
        }
        try {
            // The table outlives this call: variables do not.
            const count = store.increment(`sender:${sender}`, 1, WINDOW_SECONDS);
            return count > settings.limit ? refuse("tempfail", [4, 7, 1], "Too much mail from you") : next();
        } catch (error) {
            log.log("warn", `not counted: ${JSON.stringify(error)}`);
            return next();
        }
    },
};

export const messageHook = {
    // The whole message, before the server takes it.
    onMessage(session, message) {
        // Decoded already: `=?utf-8?q?C=61sino?=` says "Casino".
        const subject = (message.header("Subject") ?? "").toLowerCase();
        const word = settings.blocked.find((word) => subject.includes(word.toLowerCase()));
        if (word !== undefined) {
            return refuse("reject", [5, 7, 1], `No ${word} here`);
        }
        const said = `doorman; size=${message.size()}; parts=${message.parts().length}`;
        // QuickJS has no TextEncoder; the text is ASCII.
        const value = Uint8Array.from(said, (letter) => letter.charCodeAt(0));
        return next(
            { tag: "add-header", val: { name: settings.tag, value, position: { tag: "first" } } },
            { tag: "tag", val: ["doorman", "seen"] },
        );
    },
};
