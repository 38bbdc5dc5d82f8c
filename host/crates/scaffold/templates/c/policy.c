// {{name}}: refuses a word in the subject, marks the rest. Begin here.
//
// bindings/policy.h declares what the server offers (maitred_plugin_…) and what it calls (exports_maitred_plugin_…).
// An answer of the server is ours to free; an answer to the server is on the heap and freed by the bindings.

#include <stdlib.h>

#include "json.h"
#include "policy.h"
#include "text.h"

// Set by init, which runs once: the server freezes what it made, and every call starts from there.
static text_t word;

// What it says of itself.
void exports_maitred_plugin_lifecycle_describe(exports_maitred_plugin_lifecycle_descriptor_t *ret) {
    *ret = (exports_maitred_plugin_lifecycle_descriptor_t){
        .name = TEXT(LITERAL("{{name}}")),
        .version = TEXT(LITERAL("0.1.0")),
        .summary = TEXT(LITERAL("Refuses a word in the subject")),
    };
}

// Reads {"word": "…"}; {} is "casino". False is an error.
bool exports_maitred_plugin_lifecycle_init(text_t *error) {
    text_t config;
    maitred_plugin_config_get(&config);
    json_t empty = { config.ptr, config.ptr + config.len };
    if (json_sign(&empty, '{') && json_sign(&empty, '}') && json_ended(&empty)) {
        word = TEXT(LITERAL("casino"));
        policy_string_free(&config);
        return true;
    }
    json_t json = { config.ptr, config.ptr + config.len };
    text_t key = { NULL, 0 };
    text_t value = { NULL, 0 };
    bool is_right = json_sign(&json, '{') && json_string(&json, &key) && text_is(key, LITERAL("word"))
        && json_sign(&json, ':') && json_string(&json, &value) && value.len > 0 && json_sign(&json, '}')
        && json_ended(&json);
    if (is_right) {
        word = text_lower(value);
    } else {
        *error = TEXT(LITERAL("word: must be a text"));
    }
    policy_string_free(&key);
    policy_string_free(&value);
    policy_string_free(&config);
    return is_right;
}

static bool is_refused(maitred_plugin_host_message_borrow_message_t message) {
    text_t name = LITERAL("Subject");
    text_t subject;
    if (!maitred_plugin_host_message_method_message_header(message, &name, &subject)) {
        return false;
    }
    text_t lower = text_lower(subject);
    bool is_found = text_contains(lower, word);
    policy_string_free(&lower);
    policy_string_free(&subject);
    return is_found;
}

// The whole message, before the server takes it. More hooks: an export in wit/policy.wit, and
// `maitred plugin bindings` to make the bindings anew.
void exports_maitred_plugin_message_hook_on_message(
    maitred_plugin_host_session_own_session_t session,
    maitred_plugin_host_message_own_message_t message,
    maitred_plugin_decisions_decision_t *ret
) {
    *ret = (maitred_plugin_decisions_decision_t){ .verdict.tag = MAITRED_PLUGIN_DECISIONS_VERDICT_NEXT };
    if (is_refused(maitred_plugin_host_message_borrow_message(message))) {
        ret->verdict.tag = MAITRED_PLUGIN_DECISIONS_VERDICT_REJECT;
        ret->verdict.val.reject = (maitred_plugin_types_refusal_t){
            .enhanced = { .is_some = true, .val = { 5, 7, 1 } },
            .text = TEXT(LITERAL("No "), word, LITERAL(" here")),
        };
    } else {
        text_t value = TEXT(LITERAL("{{name}}"));
        maitred_plugin_decisions_edit_t *edit = calloc(1, sizeof(*edit));
        if (edit == NULL) {
            abort();
        }
        edit->tag = MAITRED_PLUGIN_DECISIONS_EDIT_ADD_HEADER;
        edit->val.add_header = (maitred_plugin_decisions_header_add_t){
            .name = TEXT(LITERAL("X-Seen-By")),
            .value = { value.ptr, value.len },
            .position.tag = MAITRED_PLUGIN_DECISIONS_HEADER_POSITION_FIRST,
        };
        ret->edits = (maitred_plugin_decisions_list_edit_t){ edit, 1 };
    }
    maitred_plugin_host_message_message_drop_own(message);
    maitred_plugin_host_session_session_drop_own(session);
}
