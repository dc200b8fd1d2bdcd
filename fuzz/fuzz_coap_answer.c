/* Any bytes as a CoAP answer, as a device may get them from anybody. */
#include <stdlib.h>
#include <string.h>

#include "client/coap_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agn__coap_answer_view answer;
    memset(&answer, 0x5A, sizeof answer);
    struct agn__coap_answer_view before = answer;
    if (agn__coap_read_answer(data, size, &answer) != 0) {
        demand(memcmp(&answer, &before, sizeof answer) == 0);
        return 0;
    }
    demand(answer.code_class >= 2 && answer.code_class <= 5 && answer.token_bytes <= 8);
    demand(answer.token + answer.token_bytes <= data + size);
    demand(answer.payload + answer.payload_bytes == data + size);
    return 0;
}
