/* Who may speak DTLS: identities, keys, handshakes. Records, cookies and replay windows are the library's. */
#include <string.h>

#include "agilenn/base.h"
#include "server/coap_internal.h"

/* Each takes about 9 KB. Beyond that the library takes no new ones until some have ended or are 30 s old. */
enum { HALF_OPEN_MAX = 1024 };

/* A session's application data: where it stands, or the generation of keys in which it was last found good.
 */
#define STATE_NEW   ((uintptr_t)0)
#define STATE_KNOWN (UINTPTR_MAX) /* named an identity that has a key; nothing has come by that key yet */

static uintptr_t state_of(const coap_session_t *session)
{
    return (uintptr_t)coap_session_get_app_data(session);
}

static void set_state(coap_session_t *session, uintptr_t state)
{
    coap_session_set_app_data(session, (void *)state); /* NOLINT(performance-no-int-to-ptr): never followed */
}

/* A key of this identity, or NULL, upon which the library ends the handshake. */
static const coap_bin_const_t *on_identity(coap_bin_const_t *identity, coap_session_t *session, void *user)
{
    struct agn__coap *coap = user;
    size_t key_bytes;
    const uint8_t *key = agn_keys_find(coap->keys, identity->s, identity->length, &key_bytes);
    if (!key) {
        coap->counts.unknown_identities++;
        agn_log(AGN_LOG_DEBUG, "dtls: a handshake with an identity that no key belongs to");
        return NULL;
    }
    set_state(session, STATE_KNOWN);
    coap->key_view = (coap_bin_const_t){.length = key_bytes, .s = key};
    return &coap->key_view;
}

int agn__coap_offer_dtls(struct agn__coap *coap, struct agn_keys *keys)
{
    if (!coap_dtls_is_supported())
        return agn_fail(AGN_ERR_UNSUPPORTED,
                        "this program's CoAP library has no DTLS; build it with libcoap-3-gnutls");
    coap_dtls_spsk_t setup = {.version = COAP_DTLS_SPSK_SETUP_VERSION,
                              .validate_id_call_back = on_identity,
                              .id_call_back_arg = coap};
    coap->keys = keys;
    coap->generation = 2;
    coap_dtls_set_log_level(LOG_EMERG); /* whatever a library may think worth a line at higher levels */
    coap_context_set_max_handshake_sessions(coap->context, HALF_OPEN_MAX);
    if (!coap_context_set_psk2(coap->context, &setup))
        return agn_fail(AGN_ERR_IO, "the CoAP library refused to be set up for DTLS");
    return 0;
}

void agn__coap_set_keys(struct agn__coap *coap, struct agn_keys *keys, int max_peers)
{
    coap_context_set_max_idle_sessions(coap->context, (unsigned)max_peers);
    agn_keys_free(coap->keys);
    coap->keys = keys;
    coap->generation++;
    memset(&coap->key_view, 0, sizeof coap->key_view);
}

void agn__coap_on_dtls_end(struct agn__coap *coap, coap_session_t *session)
{
    uintptr_t state = state_of(session);
    if (state == STATE_KNOWN)
        coap->counts.handshakes_failed++;
    else if (state != STATE_NEW)
        coap->counts.dtls_peers--;
    set_state(session, STATE_NEW);
}

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
    if (state == STATE_KNOWN) { /* a request that could be decrypted: now it is a session */
        coap->counts.handshakes++;
        coap->counts.dtls_peers++;
        set_state(request->session, coap->generation - 1);
    }
    if (!has_current_key(coap, request->session)) {
        coap->counts.revoked++;
        agn__coap_explain(request, AGN__COAP_CODE(4, 1), "the key of this session is not valid any more");
        return false;
    }
    set_state(request->session, coap->generation);
    return true;
}
