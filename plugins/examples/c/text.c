// Texts as the contract has them.

#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <wctype.h>

text_t text_join(size_t count, const text_t *pieces) {
    text_t joined = { NULL, 0 };
    for (size_t piece = 0; piece < count; piece++) {
        for (size_t at = 0; at < pieces[piece].len; at++) {
            text_push(&joined, pieces[piece].ptr[at]);
        }
    }
    return joined;
}

text_t text_number(uint64_t number) {
    uint8_t digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = '0' + number % 10;
        number /= 10;
    } while (number > 0);
    return TEXT((text_t){ digits + at, sizeof(digits) - at });
}

bool text_is(text_t text, text_t other) {
    return text.len == other.len && memcmp(text.ptr, other.ptr, text.len) == 0;
}

bool text_contains(text_t text, text_t word) {
    return memmem(text.ptr, text.len, word.ptr, word.len) != NULL;
}

void text_push(text_t *text, uint8_t octet) {
    uint8_t *grown = realloc(text->ptr, text->len + 1);
    // No memory: the call ends, and the server does as it was told to for a plugin that fails.
    if (grown == NULL) {
        abort();
    }
    text->ptr = grown;
    text->ptr[text->len++] = octet;
}

// UTF-8: the first octet says how many there are, each of the others holds six bits.
void text_push_character(text_t *text, uint32_t character) {
    if (character < 0x80) {
        text_push(text, character);
        return;
    }
    int more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
    text_push(text, (0xFF00 >> (more + 1)) | character >> (6 * more));
    while (more-- > 0) {
        text_push(text, 0x80 | (character >> (6 * more) & 0x3F));
    }
}

text_t text_lower(text_t text) {
    text_t lower = { NULL, 0 };
    for (size_t at = 0; at < text.len;) {
        uint32_t character = text.ptr[at++];
        int more = character < 0x80 ? 0 : character < 0xE0 ? 1 : character < 0xF0 ? 2 : 3;
        if (more > 0) {
            character &= 0x3F >> more;
        }
        while (more-- > 0 && at < text.len) {
            character = character << 6 | (text.ptr[at++] & 0x3F);
        }
        text_push_character(&lower, towlower(character));
    }
    return lower;
}
