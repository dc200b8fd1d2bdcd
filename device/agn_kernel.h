/* Which kernels this build takes: AGN_KERNEL_MVE = 1 for agn_kernel_mve.c, AGN_KERNEL_DSP = 1 for
 * agn_kernel_dsp.c, both 0 for agn_kernel_plain.c. By itself the first that the processor and the compiler's
 * flags let be right: Helium (MVE), then DSP, else the plain ones, which are right anywhere.
 *
 * Both read pairs of int16 as words: little-endian memory. The DSP kernels are Thumb-2 instructions and load
 * words from halfword addresses: not in A32 code, nor with -mno-unaligned-access (clang for bare metal wants
 * -munaligned-access to allow it). A build may set the two; what cannot be right is an error. Where the
 * processor has no DSP extension, AGN_KERNEL_DSP = 1 is the same in portable C, for tests.
 *
 * Beside the plain ones, hosts with SSE2 have full convolutions of their own (agn_kernel_sse2.c), if
 * AGN_KERNEL_SSE2 is not 0. */
#ifndef AGN_KERNEL_H
#define AGN_KERNEL_H

#if defined(__ARM_BIG_ENDIAN) || defined(__BIG_ENDIAN__)
#define AGN__BIG_ENDIAN 1
#elif defined(__BYTE_ORDER__) && defined(__ORDER_LITTLE_ENDIAN__)
#define AGN__BIG_ENDIAN (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
#else
#define AGN__BIG_ENDIAN 0
#endif

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && defined(__ARM_FEATURE_SIMD32) && __ARM_FEATURE_SIMD32
#define AGN__HAS_DSP 1
#else
#define AGN__HAS_DSP 0
#endif

#if defined(__thumb2__) || (defined(__thumb__) && defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB >= 2)
#define AGN__IS_THUMB_2 1
#else
#define AGN__IS_THUMB_2 0
#endif

#if defined(__ARM_FEATURE_UNALIGNED) && __ARM_FEATURE_UNALIGNED
#define AGN__MAY_BE_UNALIGNED 1
#else
#define AGN__MAY_BE_UNALIGNED 0
#endif

#if defined(__GNUC__)
#define AGN__IS_GNU_C 1
#else
#define AGN__IS_GNU_C 0
#endif

#ifndef AGN_KERNEL_MVE
#if !defined(AGN_KERNEL_DSP) && defined(__ARM_FEATURE_MVE) && __ARM_FEATURE_MVE && AGN__IS_GNU_C &&          \
    !AGN__BIG_ENDIAN
#define AGN_KERNEL_MVE 1
#else
#define AGN_KERNEL_MVE 0
#endif
#endif

#ifndef AGN_KERNEL_DSP
#if !AGN_KERNEL_MVE && AGN__HAS_DSP && AGN__IS_THUMB_2 && AGN__MAY_BE_UNALIGNED && AGN__IS_GNU_C &&          \
    !AGN__BIG_ENDIAN
#define AGN_KERNEL_DSP 1
#else
#define AGN_KERNEL_DSP 0
#endif
#endif

#ifndef AGN_KERNEL_SSE2
#if !AGN_KERNEL_MVE && !AGN_KERNEL_DSP && defined(__SSE2__) && defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector) && __has_builtin(__builtin_ia32_pmaddwd128)
#define AGN_KERNEL_SSE2 1
#endif
#endif
#endif
#ifndef AGN_KERNEL_SSE2
#define AGN_KERNEL_SSE2 0
#endif

#if AGN_KERNEL_MVE && AGN_KERNEL_DSP
#error "AGN_KERNEL_MVE and AGN_KERNEL_DSP are both 1: choose one"
#endif
#if (AGN_KERNEL_MVE || AGN_KERNEL_DSP) && AGN__BIG_ENDIAN
#error "AGN_KERNEL_DSP and AGN_KERNEL_MVE are for little-endian memory: leave them unset on this target"
#elif (AGN_KERNEL_MVE || AGN_KERNEL_DSP) && !AGN__IS_GNU_C
#error "AGN_KERNEL_DSP and AGN_KERNEL_MVE are GNU C (gcc, clang): leave them unset with this compiler"
#elif AGN_KERNEL_MVE && !(defined(__ARM_FEATURE_MVE) && __ARM_FEATURE_MVE)
#error                                                                                                       \
    "AGN_KERNEL_MVE is 1, but the compiler's flags name no processor with Helium (-mcpu=, -mfloat-abi=hard)"
#elif AGN_KERNEL_DSP && AGN__HAS_DSP && !AGN__IS_THUMB_2
#error "AGN_KERNEL_DSP is 1, but its kernels are Thumb-2 code: compile with -mthumb, or leave it unset"
#elif AGN_KERNEL_DSP && AGN__HAS_DSP && !AGN__MAY_BE_UNALIGNED
#error "AGN_KERNEL_DSP is 1, but its kernels load unaligned words: -munaligned-access, or leave it unset"
#endif

#endif
