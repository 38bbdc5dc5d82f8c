// Texts as the contract has them: UTF-8 with a length, no NUL at the end.

#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>

#include "doorman.h"

typedef doorman_string_t text_t;

// A literal as a text that must not be freed.
#define LITERAL(s) ((text_t){ (uint8_t *)(s), sizeof(s) - 1 })

// The pieces behind each other, on the heap. (printf would do, but it brings files along, of which a plugin has none.)
#define TEXT(...) text_join(sizeof((text_t[]){ __VA_ARGS__ }) / sizeof(text_t), (text_t[]){ __VA_ARGS__ })
text_t text_join(size_t count, const text_t *pieces);

// A number in digits, on the heap.
text_t text_number(uint64_t number);

// The same in lower case, on the heap.
text_t text_lower(text_t text);

bool text_is(text_t text, text_t other);
bool text_contains(text_t text, text_t word);

// Appends one octet, or one character.
void text_push(text_t *text, uint8_t octet);
void text_push_character(text_t *text, uint32_t character);

#endif
