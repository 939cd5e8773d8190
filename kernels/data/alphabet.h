/* alphabet: the vocabulary of texts: which characters come in them, and the number of each. */
#ifndef KERNELS_DATA_ALPHABET_H
#define KERNELS_DATA_ALPHABET_H

#include "kernels/data/dataset.h"
#include "kernels/data/utf8.h"

#define ALPHABET_MOST 1024 /* characters up to which they are tokens when nothing was said */

struct alphabet {
    int32_t *ids;         /* (UTF8_MAX): -1 none; while learning 0 means seen */
    int64_t bytes;        /* taken in */
    int64_t characters;   /* of them, while it is UTF-8 */
    int count;            /* different ones */
    int64_t wrong_at;     /* first byte that is no UTF-8; -1 */
    enum token_unit unit; /* after alphabet_decide */
    int first;            /* id of the first token: 1 where 0 is padding */
};

void alphabet_init(struct alphabet *a);
void alphabet_free(struct alphabet *a);
/* Learn from a piece of text; u is of the file. */
void alphabet_learn(struct alphabet *a, struct utf8 *u, const uint8_t *p, size_t n);
/* A file ended: an unfinished character is a wrong one. */
void alphabet_end(struct alphabet *a, const struct utf8 *u);
/* Choose the unit by o->token_unit and number the characters by value from `first`; info gets unit, vocabulary and tokens. -1
 * after a finding. */
int alphabet_decide(struct alphabet *a, int first, const struct dataset_options *o, struct dataset_info *info,
                    struct findings *f);
/* The token that this byte completes; -1 while none is complete or when the character is not known. */
int32_t alphabet_token(const struct alphabet *a, struct utf8 *u, uint8_t byte);

#endif
