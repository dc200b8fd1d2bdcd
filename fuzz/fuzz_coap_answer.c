/* Any bytes as a CoAP answer, as a device may get them from anybody; whatever 5.03 says, its pause ends. */
#include <stdlib.h>
#include <string.h>

#include "agn_coap.h"
#include "agn_pause.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agn_coap_answer_view answer;
    memset(&answer, 0x5A, sizeof answer);
    struct agn_coap_answer_view before = answer;
    if (agn_coap_read_answer(data, size, &answer) != 0) {
        demand(answer.payload == before.payload && answer.payload_bytes == before.payload_bytes &&
               answer.token == before.token && answer.max_age_s == before.max_age_s);
        return 0;
    }
    demand(answer.code_class >= 2 && answer.code_class <= 5 && answer.token_bytes <= 8);
    demand(answer.token + answer.token_bytes <= data + size);
    demand(answer.payload + answer.payload_bytes == data + size);

    struct agn_pause pause = {0};
    for (uint32_t now_ms = UINT32_MAX - 1; pause.refusals < 6 && answer.max_age_s > 0;
         now_ms += pause.length_ms) {
        agn_pause_refused(&pause, answer.max_age_s, now_ms, (uint32_t)size);
        demand(agn_pause_is_on(&pause, now_ms));
        demand(pause.length_ms >= 1000 && pause.length_ms < 1500 * AGN_PAUSE_MAX_S);
    }
    return 0;
}
