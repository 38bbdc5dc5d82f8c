// {{name}}: refuses a word in the subject, marks the rest. Begin here.

// What the server offers: one module for each interface that wit/policy.wit imports.
import config from "maitred:plugin/config@0.1.1";

// Set by init, which runs once: the server freezes what it made, and every call starts from there.
let word = "";

// A variant is an object with a tag and perhaps a value, a record an object, a tuple an array.
const next = (...edits) => ({ verdict: { tag: "next" }, edits });
const reject = (text) => ({ verdict: { tag: "reject", val: { enhanced: [5, 7, 1], text } }, edits: [] });

// Header fields are octets; QuickJS has no TextEncoder.
const ascii = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

export const lifecycle = {
    describe() {
        return { name: "{{name}}", version: "0.1.0", summary: "Refuses a word in the subject", configSchema: null };
    },

    // An error is thrown: a text.
    init() {
        const given = JSON.parse(config.get()).word ?? "casino";
        if (typeof given !== "string" || given === "") {
            throw "word: must be a text";
        }
        word = given.toLowerCase();
    },
};

// More hooks: an export in wit/policy.wit, and an object here.
export const messageHook = {
    // The whole message, before the server takes it.
    onMessage(session, message) {
        const subject = (message.header("Subject") ?? "").toLowerCase();
        if (subject.includes(word)) {
            return reject(`No ${word} here`);
        }
        const seen = { name: "X-Seen-By", value: ascii("{{name}}"), position: { tag: "first" } };
        return next({ tag: "add-header", val: seen });
    },
};
