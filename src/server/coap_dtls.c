/* Who may speak DTLS, and how: identities, keys, ciphers, handshakes. Records, cookies and replay windows are
 * the library's.
 *
 * libcoap 4.3 gives each session GnuTLS's priorities "NORMAL", CBC with HMAC-SHA1 and DTLS 1.0 among them,
 * and has no setting for it. But it hands out the session of GnuTLS, whose priorities count when a client's
 * second hello, the one with the cookie, is answered. So they are set as soon as libcoap has answered the
 * first. Should both hellos come in one reading of the socket, the session may end up with another cipher; it
 * is refused then before anything is served by it. */
#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "agilenn/base.h"
#include "agilenn/dtls.h"
#include "server/coap_internal.h"

/* A session's application data: where it stands, or the generation of keys that it was last found good in. */
#define STATE_NEW     ((uintptr_t)0)
#define STATE_KNOWN   (UINTPTR_MAX)     /* named an identity that has a key; the handshake's end is to come */
#define STATE_WRONG   (UINTPTR_MAX - 1) /* and sent what cannot be read by that key */
#define STATE_UNKNOWN (UINTPTR_MAX - 2) /* named another identity */
#define STATE_WEAK    (UINTPTR_MAX - 3) /* with a cipher that is not wanted */
#define STATE_ENDED   (UINTPTR_MAX - 4)

static uintptr_t state_of(const coap_session_t *session)
{
    return (uintptr_t)coap_session_get_app_data(session);
}

static void set_state(coap_session_t *session, uintptr_t state)
{
    coap_session_set_app_data(session, (void *)state); /* NOLINT(performance-no-int-to-ptr): never followed */
}

static void log_unknown(const coap_bin_const_t *identity)
{
    char text[AGN_KEY_IDENTITY_MAX + 1], shown[AGN_KEY_IDENTITY_TEXT];
    size_t len = identity->length < sizeof text ? identity->length : sizeof text - 1;
    memcpy(text, identity->s, len);
    text[len] = 0;
    agn_keys_show_identity(shown, text);
    agn_log(AGN_LOG_DEBUG, "dtls: a handshake with an identity that has no key: %s", shown);
}

/* A key of this identity, or NULL, upon which the library ends the handshake. */
static const coap_bin_const_t *on_identity(coap_bin_const_t *identity, coap_session_t *session, void *user)
{
    struct agn__coap *coap = user;
    size_t key_bytes;
    const uint8_t *key = agn_keys_find(coap->keys, identity->s, identity->length, &key_bytes);
    if (!key) {
        coap->counts.unknown_identities++;
        set_state(session, STATE_UNKNOWN);
        log_unknown(identity);
        return NULL;
    }
    set_state(session, STATE_KNOWN);
    coap->key_view = (coap_bin_const_t){.length = key_bytes, .s = key};
    return &coap->key_view;
}

static int choose_ciphers(struct agn__coap *coap, bool cbc)
{
    const char *priorities = cbc ? AGN_DTLS_PRIORITIES_CBC : AGN_DTLS_PRIORITIES;
    if (coap_get_tls_library_version()->type != COAP_TLS_LIBRARY_GNUTLS)
        return agn_fail(AGN_ERR_UNSUPPORTED,
                        "this program's CoAP library leaves no choice of ciphers; build it "
                        "with libcoap-3-gnutls");
    int code = gnutls_priority_init(&coap->priorities, priorities, NULL);
    coap->dtls_cbc = cbc;
    if (cbc)
        agn_log(AGN_LOG_WARN, "start: DTLS also accepts CBC ciphers, for old devices");
    return code == 0 ? 0 : agn_fail(AGN_ERR_UNSUPPORTED, "DTLS cannot be set up: %s", gnutls_strerror(code));
}

int agn__coap_offer_dtls(struct agn__coap *coap, const struct agn__coap_config *config)
{
    if (!coap_dtls_is_supported())
        return agn_fail(AGN_ERR_UNSUPPORTED,
                        "this program's CoAP library has no DTLS; build it with libcoap-3-gnutls");
    int status = choose_ciphers(coap, config->dtls_cbc);
    if (status < 0)
        return status;
    coap_dtls_spsk_t setup = {.version = COAP_DTLS_SPSK_SETUP_VERSION,
                              .validate_id_call_back = on_identity,
                              .id_call_back_arg = coap};
    coap->keys = config->keys;
    coap->generation = 2;
    coap_dtls_set_log_level(LOG_EMERG); /* whatever a library may think worth a line at higher levels */
    coap_context_set_max_handshake_sessions(coap->context, AGN__HALF_OPEN_MAX);
    if (!coap_context_set_psk2(coap->context, &setup))
        return agn_fail(AGN_ERR_IO, "the CoAP library refused to be set up for DTLS");
    return 0;
}

void agn__coap_end_dtls(struct agn__coap *coap)
{
    if (coap->priorities)
        gnutls_priority_deinit(coap->priorities);
}

void agn__coap_set_keys(struct agn__coap *coap, struct agn_keys *keys, int max_peers)
{
    coap_context_set_max_idle_sessions(coap->context, (unsigned)max_peers);
    agn_keys_free(coap->keys);
    coap->keys = keys;
    coap->generation++;
    memset(&coap->key_view, 0, sizeof coap->key_view);
}

/* ---- handshakes ------------------------------------------------------------------------------ */

void agn__coap_on_dtls_begin(struct agn__coap *coap, coap_session_t *session)
{
    if (coap->half_open_count < (int)AGN_COUNT_OF(coap->half_open))
        coap->half_open[coap->half_open_count++] = (struct agn__half_open){.session = session};
}

static gnutls_session_t tls_of(const coap_session_t *session)
{
    coap_tls_library_t library;
    return coap_session_get_tls(session, &library);
}

/* The peer has shown that it has the key. */
static void complete(struct agn__coap *coap, coap_session_t *session)
{
    gnutls_session_t tls = tls_of(session);
    bool aead = tls && gnutls_mac_get(tls) == GNUTLS_MAC_AEAD;
    bool allowed = aead || coap->dtls_cbc;
    if (!allowed || gnutls_protocol_get_version(tls) != GNUTLS_DTLS1_2) {
        coap->counts.handshakes_refused++;
        set_state(session, STATE_WEAK);
        return;
    }
    coap->counts.handshakes++;
    coap->counts.dtls_peers++;
    set_state(session, coap->generation - 1); /* its first request asks for the keys of then */
}

/* Whether it is to be looked at again. */
static bool watch(struct agn__coap *coap, struct agn__half_open *one)
{
    uintptr_t state = state_of(one->session);
    bool knows = state == STATE_KNOWN || state == STATE_WRONG;
    if (!knows && state != STATE_NEW)
        return false;
    if (knows && coap_session_get_state(one->session) == COAP_SESSION_STATE_ESTABLISHED) {
        complete(coap, one->session);
        return false;
    }
    gnutls_session_t tls = tls_of(one->session);
    if (tls && state == STATE_NEW)
        (void)gnutls_priority_set(tls, coap->priorities);
    if (!tls && one->has_tls) /* libcoap drops it when the second hello has nothing in common with it */
        coap->counts.handshakes_refused++;
    one->has_tls = tls != NULL;
    if (tls && state == STATE_KNOWN && gnutls_record_get_discarded(tls) > 0)
        set_state(one->session, STATE_WRONG);
    return true;
}

void agn__coap_watch_handshakes(struct agn__coap *coap)
{
    int kept = 0;
    for (int i = 0; i < coap->half_open_count; i++)
        if (watch(coap, &coap->half_open[i]))
            coap->half_open[kept++] = coap->half_open[i];
    coap->half_open_count = kept;
}

static void count_end(struct agn__coap_counts *counts, const coap_session_t *session)
{
    uintptr_t state = state_of(session);
    bool established = coap_session_get_state(session) == COAP_SESSION_STATE_ESTABLISHED;
    bool shaking = coap_session_get_state(session) == COAP_SESSION_STATE_HANDSHAKE;
    if (state == STATE_UNKNOWN || state == STATE_WEAK || state == STATE_ENDED)
        return;
    if (state == STATE_NEW) /* before that it may be anybody's, in any name */
        counts->handshakes_unfinished += shaking;
    else if (state != STATE_KNOWN && state != STATE_WRONG)
        counts->dtls_peers--;
    else if (established)
        counts->handshakes++;
    else if (state == STATE_WRONG)
        counts->handshakes_failed++;
    else
        counts->handshakes_unfinished++;
}

void agn__coap_on_dtls_end(struct agn__coap *coap, coap_session_t *session)
{
    count_end(&coap->counts, session);
    set_state(session, STATE_ENDED);
    for (int i = 0; i < coap->half_open_count; i++)
        if (coap->half_open[i].session == session)
            coap->half_open[i--] = coap->half_open[--coap->half_open_count];
}

/* ---- requests ---------------------------------------------------------------------------------- */

static bool has_current_key(const struct agn__coap *coap, const coap_session_t *session)
{
    const coap_bin_const_t *identity = coap_session_get_psk_identity(session);
    const coap_bin_const_t *used = coap_session_get_psk_key(session);
    size_t key_bytes;
    const uint8_t *key =
        identity ? agn_keys_find(coap->keys, identity->s, identity->length, &key_bytes) : NULL;
    return key && used && used->length == key_bytes && memcmp(used->s, key, key_bytes) == 0;
}

bool agn__coap_is_trusted(struct agn__request *request)
{
    struct agn__coap *coap = request->coap;
    uintptr_t state = state_of(request->session);
    if (state == coap->generation)
        return true;
    if (state == STATE_KNOWN || state == STATE_WRONG) /* a request that could be decrypted */
        complete(coap, request->session);
    if (state_of(request->session) == STATE_WEAK) {
        agn__coap_explain(request, AGN__COAP_CODE(4, 1), "only AEAD ciphers are accepted");
        return false;
    }
    if (!has_current_key(coap, request->session)) {
        coap->counts.revoked++;
        agn__coap_explain(request, AGN__COAP_CODE(4, 1), "the key of this session is no longer valid");
        return false;
    }
    set_state(request->session, coap->generation);
    return true;
}
