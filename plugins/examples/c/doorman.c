// Doorman in C: refuses subjects with blocked words, limits how much a sender may send, marks the rest.
//
// The same policy is beside this folder in Rust, JavaScript and Python. doorman.h is made from wit/ by the build: it declares what the
// server offers (maitred_plugin_…) and what it calls (exports_maitred_plugin_…, defined at the end of this file).
//
// Who frees what: an answer of the server is ours, an answer to the server is on the heap and freed by the bindings.

#include <stdlib.h>

#include "doorman.h"
#include "json.h"
#include "text.h"

// How long a sender's messages are counted before the count begins again, seconds.
#define WINDOW_SECONDS 3600

// What the configuration says. Set by init, which runs once: the server freezes what it made, and every call starts from there.
static struct {
    text_t *blocked;
    size_t blocked_count;
    int64_t limit;
    text_t tag;
} settings = { .limit = 100, .tag = LITERAL("X-Doorman") };

static bool read_words(json_t *json) {
    settings.blocked_count = 0;
    if (!json_sign(json, '[')) {
        return false;
    }
    if (json_sign(json, ']')) {
        return true;
    }
    do {
        text_t word;
        if (!json_string(json, &word) || word.len == 0) {
            return false;
        }
        text_t *grown = realloc(settings.blocked, (settings.blocked_count + 1) * sizeof(text_t));
        if (grown == NULL) {
            abort();
        }
        settings.blocked = grown;
        settings.blocked[settings.blocked_count++] = word;
    } while (json_sign(json, ','));
    return json_sign(json, ']');
}

static bool read_limit(json_t *json) {
    return json_whole(json, &settings.limit) && settings.limit >= 1;
}

// Printable, without blanks and colons (RFC 5322 §3.6.8).
static bool read_field_name(json_t *json) {
    if (!json_string(json, &settings.tag)) {
        return false;
    }
    for (size_t at = 0; at < settings.tag.len; at++) {
        uint8_t octet = settings.tag.ptr[at];
        if (octet <= ' ' || octet > '~' || octet == ':') {
            return false;
        }
    }
    return settings.tag.len > 0;
}

// Reads the whole configuration; on an error says what is wrong.
static bool read_settings(json_t *json, text_t *error) {
    static const struct {
        text_t key;
        bool (*read)(json_t *);
        text_t wanted;
    } keys[] = {
        { LITERAL("blocked"), read_words, LITERAL("a list of words") },
        { LITERAL("limit"), read_limit, LITERAL("a whole number from 1") },
        { LITERAL("tag"), read_field_name, LITERAL("the name of a header field") },
    };
    const size_t key_count = sizeof(keys) / sizeof(keys[0]);
    if (!json_sign(json, '{')) {
        *error = TEXT(LITERAL("the configuration must be an object"));
        return false;
    }
    if (json_sign(json, '}')) {
        return json_ended(json);
    }
    do {
        text_t key;
        if (!json_string(json, &key) || !json_sign(json, ':')) {
            *error = TEXT(LITERAL("not JSON"));
            return false;
        }
        size_t of = 0;
        while (of < key_count && !text_is(key, keys[of].key)) {
            of++;
        }
        if (of == key_count) {
            *error = TEXT(key, LITERAL(": there is no such key"));
            return false;
        }
        if (!keys[of].read(json)) {
            *error = TEXT(key, LITERAL(": must be "), keys[of].wanted);
            return false;
        }
        doorman_string_free(&key);
    } while (json_sign(json, ','));
    if (!json_sign(json, '}') || !json_ended(json)) {
        *error = TEXT(LITERAL("not JSON"));
        return false;
    }
    return true;
}

static maitred_plugin_types_refusal_t refusal(uint8_t class, text_t text) {
    return (maitred_plugin_types_refusal_t){
        .enhanced = { .is_some = true, .val = { class, 7, 1 } },
        .text = text,
    };
}

// What it says of itself.
void exports_maitred_plugin_lifecycle_describe(exports_maitred_plugin_lifecycle_descriptor_t *ret) {
    *ret = (exports_maitred_plugin_lifecycle_descriptor_t){
        .name = TEXT(LITERAL("doorman")),
        .version = TEXT(LITERAL("0.1.0")),
        .summary = TEXT(LITERAL("Refuses blocked subjects, limits senders, marks the rest")),
    };
}

// False is an error.
bool exports_maitred_plugin_lifecycle_init(text_t *error) {
    text_t config;
    maitred_plugin_config_get(&config);
    json_t json = { config.ptr, config.ptr + config.len };
    bool is_right = read_settings(&json, error);
    doorman_string_free(&config);
    return is_right;
}

// For each recipient, before the message comes.
void exports_maitred_plugin_rcpt_hook_on_rcpt(
    maitred_plugin_host_session_own_session_t session,
    text_t *sender,
    maitred_plugin_types_recipient_t *recipient,
    maitred_plugin_decisions_decision_t *ret
) {
    *ret = (maitred_plugin_decisions_decision_t){ .verdict.tag = MAITRED_PLUGIN_DECISIONS_VERDICT_NEXT };
    // Reports of failed deliveries come from <>, whoever sends them.
    if (sender->len > 0) {
        // The table outlives this call: variables do not.
        text_t key = TEXT(LITERAL("sender:"), *sender);
        uint32_t window = WINDOW_SECONDS;
        int64_t count;
        maitred_plugin_store_store_error_t error;
        if (!maitred_plugin_store_increment(&key, 1, &window, &count, &error)) {
            text_t line = LITERAL("not counted");
            maitred_plugin_log_log(MAITRED_PLUGIN_LOG_LEVEL_WARN, &line);
            maitred_plugin_store_store_error_free(&error);
        } else if (count > settings.limit) {
            ret->verdict.tag = MAITRED_PLUGIN_DECISIONS_VERDICT_TEMPFAIL;
            ret->verdict.val.tempfail = refusal(4, TEXT(LITERAL("Too much mail from you")));
        }
        doorman_string_free(&key);
    }
    maitred_plugin_types_address_free(sender);
    maitred_plugin_types_recipient_free(recipient);
    maitred_plugin_host_session_session_drop_own(session);
}

// The blocked word in the subject, or NULL.
static const text_t *blocked_word(maitred_plugin_host_message_borrow_message_t message) {
    text_t name = LITERAL("Subject");
    text_t subject;
    // Decoded already: `=?utf-8?q?C=61sino?=` says "Casino".
    if (!maitred_plugin_host_message_method_message_header(message, &name, &subject)) {
        return NULL;
    }
    text_t lower = text_lower(subject);
    const text_t *found = NULL;
    for (size_t at = 0; at < settings.blocked_count && found == NULL; at++) {
        text_t word = text_lower(settings.blocked[at]);
        if (text_contains(lower, word)) {
            found = &settings.blocked[at];
        }
        doorman_string_free(&word);
    }
    doorman_string_free(&lower);
    doorman_string_free(&subject);
    return found;
}

// A header field with size and parts, and a tag for the plugins behind us.
static maitred_plugin_decisions_list_edit_t marks(maitred_plugin_host_message_borrow_message_t message) {
    maitred_plugin_host_message_list_part_info_t parts;
    maitred_plugin_host_message_method_message_parts(message, &parts);
    text_t count = text_number(parts.len);
    text_t size = text_number(maitred_plugin_host_message_method_message_size(message));
    text_t said = TEXT(LITERAL("doorman; size="), size, LITERAL("; parts="), count);
    doorman_string_free(&count);
    doorman_string_free(&size);
    maitred_plugin_host_message_list_part_info_free(&parts);

    maitred_plugin_decisions_edit_t *edits = calloc(2, sizeof(*edits));
    if (edits == NULL) {
        abort();
    }
    edits[0].tag = MAITRED_PLUGIN_DECISIONS_EDIT_ADD_HEADER;
    edits[0].val.add_header = (maitred_plugin_decisions_header_add_t){
        .name = TEXT(settings.tag),
        .value = { said.ptr, said.len },
        .position.tag = MAITRED_PLUGIN_DECISIONS_HEADER_POSITION_FIRST,
    };
    edits[1].tag = MAITRED_PLUGIN_DECISIONS_EDIT_TAG;
    edits[1].val.tag = (doorman_tuple2_string_string_t){ TEXT(LITERAL("doorman")), TEXT(LITERAL("seen")) };
    return (maitred_plugin_decisions_list_edit_t){ edits, 2 };
}

// The whole message, before the server takes it.
void exports_maitred_plugin_message_hook_on_message(
    maitred_plugin_host_session_own_session_t session,
    maitred_plugin_host_message_own_message_t message,
    maitred_plugin_decisions_decision_t *ret
) {
    *ret = (maitred_plugin_decisions_decision_t){ .verdict.tag = MAITRED_PLUGIN_DECISIONS_VERDICT_NEXT };
    maitred_plugin_host_message_borrow_message_t borrowed = maitred_plugin_host_message_borrow_message(message);
    const text_t *word = blocked_word(borrowed);
    if (word != NULL) {
        ret->verdict.tag = MAITRED_PLUGIN_DECISIONS_VERDICT_REJECT;
        ret->verdict.val.reject = refusal(5, TEXT(LITERAL("No "), *word, LITERAL(" here")));
    } else {
        ret->edits = marks(borrowed);
    }
    maitred_plugin_host_message_message_drop_own(message);
    maitred_plugin_host_session_session_drop_own(session);
}
