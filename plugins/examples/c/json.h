// As much of a JSON reader as a configuration needs: it takes one thing after the other.

#ifndef JSON_H
#define JSON_H

#include "text.h"

// What is still to be read.
typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} json_t;

// Takes this sign, if it comes next.
bool json_sign(json_t *json, char sign);

// Takes a string, on the heap.
bool json_string(json_t *json, text_t *string);

// Takes a number, if it is whole and not negative.
bool json_whole(json_t *json, int64_t *number);

// Whether nothing is left.
bool json_ended(json_t *json);

#endif
