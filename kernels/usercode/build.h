/* build: C text made callable: by the system's C compiler where there is one (cc, gcc, clang), else by libtcc in this process, which needs no
 * files and starts nothing. Both must give the same results; the compiler's code is some times faster.
 */
#ifndef KERNELS_USERCODE_BUILD_H
#define KERNELS_USERCODE_BUILD_H

#include "base/err.h"

struct built;

/* Compile one translation unit: by the system's compiler; by libtcc where there is none or it may not be started (a caged verifier). NULL with an
 * err when neither can. Caller build_free()s. */
struct built *build_c(const char *text, struct err *err);
/* Only by libtcc, for tests. */
struct built *build_c_in_process(const char *text, struct err *err);
/* A function of it; NULL if there is none. Valid until build_free. */
void *build_symbol(const struct built *b, const char *name);
const char *build_compiler(const struct built *b); /* "cc", "tcc" */
void build_free(struct built *b);                  /* NULL is legal */

#endif
