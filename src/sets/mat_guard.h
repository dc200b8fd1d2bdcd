/* Inside src/sets: whether a MATLAB file may be given to matio, which takes memory for whatever a file
 * claims. */
#ifndef AGN_SETS_MAT_GUARD_H
#define AGN_SETS_MAT_GUARD_H

/* AGN_OK if PATH is a MATLAB 5 file of at most 64 variables, each an array of real numbers, plain or
 * compressed, whose claims (sizes, dimensions, name) agree with each other and fit in the variable's bytes of
 * the file, or, if compressed, in 1032 times as many, which is all that deflate can make of them. What matio
 * then allocates for a variable is at most eight times that (bytes that become doubles), and never beyond 16
 * GiB. Otherwise AGN_ERR_IO or AGN_ERR_FORMAT and what, where and what was expected. Data is not read. */
int agn__mat_guard(const char *path);

#endif
