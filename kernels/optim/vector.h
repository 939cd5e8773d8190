/* vector: compile a loop for several instruction sets and let the loader choose. Sanitizers instrument the chooser itself and
 * break it, so their builds have the plain version only. */
#ifndef KERNELS_OPTIM_VECTOR_H
#define KERNELS_OPTIM_VECTOR_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define VECTOR_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VECTOR_SANITIZED 1
#endif

#if defined(__x86_64__) && !defined(VECTOR_SANITIZED)
#define VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VECTOR_CLONES
#endif

#endif
