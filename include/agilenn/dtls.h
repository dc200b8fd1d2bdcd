/* The cipher suites of DTLS, the same at both ends, as priority strings of GnuTLS.
 *
 * DTLS 1.2 with pre-shared keys, with ECDHE where the peer knows it; ciphers that authenticate what they
 * encrypt (AEAD) only. GnuTLS 3.7 has ECDHE-PSK with ChaCha20-Poly1305 alone, PSK with all of them. */
#ifndef AGILENN_DTLS_H
#define AGILENN_DTLS_H

#define AGN_DTLS_PRIORITIES                                                                                  \
    "NONE:+VERS-DTLS1.2:+ECDHE-PSK:+PSK:+CHACHA20-POLY1305:+AES-128-GCM:+AES-256-GCM:+AES-128-CCM:"          \
    "+AES-256-CCM:+AES-128-CCM-8:+AES-256-CCM-8:+AEAD:+SIGN-ALL:+GROUP-X25519:+GROUP-SECP256R1:+COMP-NULL"

/* For devices that know nothing else: CBC with HMAC after all of these. Servers only, and only if asked. */
#define AGN_DTLS_PRIORITIES_CBC AGN_DTLS_PRIORITIES ":+AES-128-CBC:+AES-256-CBC:+SHA256:+SHA384:+SHA1"

#endif
