/* Which kernels this build takes: AGN_KERNEL_DSP = 1 for agn_kernel_dsp.c, 0 for agn_kernel_plain.c. By
 * itself the first where the processor has the DSP extension; a build may set it, to test the former
 * anywhere. */
#ifndef AGN_KERNEL_H
#define AGN_KERNEL_H

#ifndef AGN_KERNEL_DSP
#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
#define AGN_KERNEL_DSP 1
#else
#define AGN_KERNEL_DSP 0
#endif
#endif

#endif
