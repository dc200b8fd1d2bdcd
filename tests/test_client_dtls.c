/* A device's DTLS session when memory runs out: it is without a session for a while, not for good. What
 * sessions do with a server is test_server_dtls.c. */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>

#include "agilenn/base.h"
#include "agilenn/dtls_session.h"

static bool no_session, no_priorities;
static int sent;

/* In the place of the library's own. */
int gnutls_init(gnutls_session_t *session, unsigned int flags)
{
    int (*real)(gnutls_session_t *, unsigned int);
    void *found = dlsym(RTLD_NEXT, "gnutls_init");
    memcpy(&real, &found, sizeof real);
    return no_session ? GNUTLS_E_MEMORY_ERROR : real(session, flags);
}

int gnutls_priority_set_direct(gnutls_session_t session, const char *priorities, const char **error)
{
    int (*real)(gnutls_session_t, const char *, const char **);
    void *found = dlsym(RTLD_NEXT, "gnutls_priority_set_direct");
    memcpy(&real, &found, sizeof real);
    return no_priorities ? GNUTLS_E_MEMORY_ERROR : real(session, priorities, error);
}

static int count(void *user, const uint8_t *bytes, size_t len)
{
    (void)user;
    (void)bytes;
    sent += len > 0;
    return 0;
}

static struct agn_dtls *create(int expected)
{
    static const uint8_t key[16] = {1};
    const struct agn_dtls_config config = {
        .identity = "camera", .key = key, .key_bytes = sizeof key, .send = count};
    struct agn_dtls *dtls = NULL;
    assert_int_equal(agn_dtls_create(&dtls, &config), expected);
    return dtls;
}

static void without_memory_none_is_made(void **state)
{
    (void)state;
    no_session = true;
    assert_null(create(AGN_ERR_MEMORY));
    no_session = false;
    no_priorities = true;
    assert_null(create(AGN_ERR_MEMORY));
    no_priorities = false;
}

/* Every owner begins anew what is lost, and leaves alone what is at its handshake. */
static void a_restart_without_memory_is_no_handshake(void **state)
{
    (void)state;
    bool *const missing[] = {&no_session, &no_priorities};
    struct agn_dtls *dtls = create(0);
    for (size_t i = 0; i < AGN_COUNT_OF(missing); i++) {
        *missing[i] = true;
        assert_int_equal(agn_dtls_restart(dtls), AGN_ERR_MEMORY);
        assert_int_equal(agn_dtls_state(dtls), AGN_DTLS_LOST);
        sent = 0;
        assert_int_equal(agn_dtls_advance(dtls), AGN_DTLS_LOST);
        assert_int_equal(sent, 0);
        assert_true(isinf(agn_dtls_wait_s(dtls)));
        *missing[i] = false;
        assert_int_equal(agn_dtls_restart(dtls), 0);
        assert_int_equal(agn_dtls_advance(dtls), AGN_DTLS_HANDSHAKE);
        assert_true(sent > 0);
    }
    agn_dtls_free(dtls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(without_memory_none_is_made),
                                       cmocka_unit_test(a_restart_without_memory_is_no_handshake)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
