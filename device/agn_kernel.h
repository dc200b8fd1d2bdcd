/* Which kernels this build takes: AGN_KERNEL_MVE = 1 for agn_kernel_mve.c, AGN_KERNEL_DSP = 1 for
 * agn_kernel_dsp.c, both 0 for agn_kernel_plain.c. By itself the first whose extension the processor has:
 * Helium (MVE), then DSP. A build may set them; AGN_KERNEL_DSP = 1 runs anywhere, for tests. Beside the plain
 * ones, hosts with SSE2 have full convolutions of their own (agn_kernel_sse2.c), if AGN_KERNEL_SSE2 is not 0.
 */
#ifndef AGN_KERNEL_H
#define AGN_KERNEL_H

#ifndef AGN_KERNEL_MVE
#if !defined(AGN_KERNEL_DSP) && defined(__ARM_FEATURE_MVE) && __ARM_FEATURE_MVE
#define AGN_KERNEL_MVE 1
#else
#define AGN_KERNEL_MVE 0
#endif
#endif

#ifndef AGN_KERNEL_DSP
#if !AGN_KERNEL_MVE && defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
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

#endif
