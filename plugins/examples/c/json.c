// As much of a JSON reader as a configuration needs.

#include "json.h"

#include <string.h>

static void blanks(json_t *json) {
    while (json->at < json->end && memchr(" \t\r\n", *json->at, 4) != NULL) {
        json->at++;
    }
}

bool json_sign(json_t *json, char sign) {
    blanks(json);
    if (json->at == json->end || *json->at != (uint8_t)sign) {
        return false;
    }
    json->at++;
    return true;
}

bool json_ended(json_t *json) {
    blanks(json);
    return json->at == json->end;
}

bool json_whole(json_t *json, int64_t *number) {
    blanks(json);
    const uint8_t *began = json->at;
    int64_t read = 0;
    for (; json->at < json->end && *json->at >= '0' && *json->at <= '9'; json->at++) {
        if (__builtin_mul_overflow(read, 10, &read) || __builtin_add_overflow(read, *json->at - '0', &read)) {
            return false;
        }
    }
    bool is_fraction = json->at < json->end && memchr(".eE", *json->at, 3) != NULL;
    *number = read;
    return json->at > began && !is_fraction;
}

// The four digits behind \u.
static bool digits(json_t *json, uint32_t *unit) {
    *unit = 0;
    for (int digit = 0; digit < 4; digit++, json->at++) {
        const char *all = "0123456789abcdef0123456789ABCDEF";
        const char *found = json->at < json->end ? memchr(all, *json->at, 32) : NULL;
        if (found == NULL) {
            return false;
        }
        *unit = *unit << 4 | ((found - all) & 15);
    }
    return true;
}

// What stands behind a backslash.
static bool escaped(json_t *json, uint32_t *character) {
    if (json->at == json->end) {
        return false;
    }
    uint8_t letter = *json->at++;
    if (letter != 'u') {
        const char *from = "\"\\/bfnrt";
        const char *found = memchr(from, letter, 8);
        *character = found == NULL ? 0 : (uint8_t)"\"\\/\b\f\n\r\t"[found - from];
        return found != NULL;
    }
    uint32_t low;
    if (!digits(json, character)) {
        return false;
    }
    // Two halves make one character beyond U+FFFF.
    bool is_high = *character >= 0xD800 && *character < 0xDC00;
    if (!is_high) {
        return *character < 0xDC00 || *character > 0xDFFF;
    }
    if (json->end - json->at < 2 || memcmp(json->at, "\\u", 2) != 0) {
        return false;
    }
    json->at += 2;
    if (!digits(json, &low) || low < 0xDC00 || low > 0xDFFF) {
        return false;
    }
    *character = 0x10000 + ((*character - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

bool json_string(json_t *json, text_t *string) {
    *string = (text_t){ NULL, 0 };
    if (!json_sign(json, '"')) {
        return false;
    }
    while (json->at < json->end && *json->at >= 0x20) {
        uint8_t octet = *json->at++;
        uint32_t character;
        if (octet == '"') {
            return true;
        }
        if (octet == '\\') {
            if (!escaped(json, &character)) {
                break;
            }
            text_push_character(string, character);
        } else {
            text_push(string, octet);
        }
    }
    doorman_string_free(string);
    return false;
}
