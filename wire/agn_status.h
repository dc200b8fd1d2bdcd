/* Status codes of every AgileNN room, device and host alike.
 *
 * A function returns >= 0 on success (0, or a count where its comment says so)
 * and one of these negative codes on failure. Freestanding C99: the device and
 * the host share this file. The host adds a sentence to a code with agn_fail()
 * (include/agilenn/base.h). */
#ifndef AGN_STATUS_H
#define AGN_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, value, text) */
#define AGN_STATUS_TABLE(X)                                                                                  \
    X(AGN_OK, 0, "success")                                                                                  \
    X(AGN_ERR_ARG, -1, "invalid argument")                                                                   \
    X(AGN_ERR_IO, -2, "input/output error")                                                                  \
    X(AGN_ERR_FORMAT, -3, "malformed data")                                                                  \
    X(AGN_ERR_CHECKSUM, -4, "checksum mismatch")                                                             \
    X(AGN_ERR_VERSION, -5, "unsupported version")                                                            \
    X(AGN_ERR_RANGE, -6, "value out of range")                                                               \
    X(AGN_ERR_SPACE, -7, "buffer too small")                                                                 \
    X(AGN_ERR_MEMORY, -8, "out of memory")                                                                   \
    X(AGN_ERR_UNSUPPORTED, -9, "not supported")                                                              \
    X(AGN_ERR_MISMATCH, -10, "model mismatch")                                                               \
    X(AGN_ERR_STATE, -11, "called out of order")                                                             \
    X(AGN_ERR_NOT_FOUND, -12, "not found")                                                                   \
    X(AGN_ERR_TIMEOUT, -13, "timed out")                                                                     \
    X(AGN_ERR_INTERRUPTED, -14, "interrupted")                                                               \
    X(AGN_ERR_BUSY, -15, "busy")                                                                             \
    X(AGN_ERR_NUMERIC, -16, "not a finite number")                                                           \
    X(AGN_ERR_ENGINE, -17, "compute engine failure")

enum agn_status {
#define AGN_STATUS_ENUM(name, value, text) name = (value),
    AGN_STATUS_TABLE(AGN_STATUS_ENUM)
#undef AGN_STATUS_ENUM
};

/* English text of a status code; never NULL. */
static inline const char *agn_status_text(int status)
{
    switch (status) {
#define AGN_STATUS_CASE(name, value, text)                                                                   \
    case name:                                                                                               \
        return text;
        AGN_STATUS_TABLE(AGN_STATUS_CASE)
#undef AGN_STATUS_CASE
    default:
        return status > 0 ? "success" : "unknown status";
    }
}

#ifdef __cplusplus
}
#endif

#endif
