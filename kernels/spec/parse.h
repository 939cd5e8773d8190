/* parse: what the parsers of all three file kinds share. A `struct parse` collects findings of one file;
 * helpers check the document, its members and single values. Needs jansson; only the *_json.c files of spec/
 * include it. */
#ifndef KERNELS_SPEC_PARSE_H
#define KERNELS_SPEC_PARSE_H

#include <jansson.h>
#include "base/finding.h"
#include "kernels/spec/layer_type.h"

struct parse {
    struct findings *f;
    const char *area;     /* "model": check names are area.check */
    const char *instead;  /* when set, every finding points here: the model's layer whose composite is being
                             expanded */
    const char *within;   /* and says this in front: "conv_block" */
    int failed, unlisted; /* findings made; of them over SPEC_MAX_FINDINGS, only counted */
};

/* Add a failed finding; NULL when there are too many already. */
struct finding *parse_fail(struct parse *p, const char *check, const char *pointer, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Fill parts of a finding that may be NULL. */
void finding_hint(struct finding *it, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void finding_expected(struct finding *it, const char *expected, const char *actual);

/* The parsed document, checked to be an object of this format. NULL after a finding. Caller json_decref()s.
 */
json_t *parse_document(struct parse *p, const char *text, size_t n, size_t max, const char *format);
/* As parse_document, for text already parsed and changed. */
int parse_format(struct parse *p, const json_t *root, const char *format);
/* Say how many findings were left out, and give every finding its line and column. Call once at the end. 0 or
 * -1 when failed. */
int parse_finish(struct parse *p, const char *text, size_t n);

/* Every member must be in known (NULL-ended); those in required must be there. */
void parse_members(struct parse *p, const json_t *object, const char *pointer, const char *const *known,
                   const char *const *required);
/* A member that must be a string, array, object (json_type); NULL after a finding, or when absent. */
const json_t *parse_member(struct parse *p, const json_t *object, const char *pointer, const char *name,
                           json_type type);
/* "name" of a file: 1 to 64 of A-Z a-z 0-9 . _ - . NULL after a finding. */
const char *parse_file_name(struct parse *p, const json_t *root);

/* One parameter by its row, limits checked. -1 after a finding. */
int parse_param(struct parse *p, const char *check, const char *pointer, const struct param_def *def,
                const json_t *value, struct param_value *out);
/* A whole config object by its rows; values hold the defaults before. */
void parse_params(struct parse *p, const char *check, const char *pointer, const char *owner,
                  const struct param_def *defs, int count, const json_t *config, struct param_value *values);

/* pointer + "/" + key, escaped (RFC 6901), in buf. */
const char *pointer_to(char *out, size_t n, const char *pointer, const char *key);
const char *pointer_at(char *out, size_t n, const char *pointer, size_t index);
const char *json_kind(const json_t *v);                       /* "a string" */
const char *json_short(const json_t *v, char *out, size_t n); /* its text, cut */
#define POINTER_MAX 512

#endif
