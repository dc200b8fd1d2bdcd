/* An ESP-AT modem's driver: whose "SEND OK" it is. The modem says what became of a datagram without saying of
 * which. Ends that are still owed are counted, and while one may come, none heard proves anything of the
 * datagram under way. */
#include "drivers/esp_at_parts.h"

uint32_t esp_at__owing_ms(const struct esp_at *modem)
{
    if (modem->sent_ms == 0 || (modem->says_failed && modem->fails_alone < FAILS_ALONE))
        return OWED_MS;
    uint32_t ms = modem->sent_ms;
    return least(least(3U * ms + OWED_SPARE_MS, ms + ms / 2U + OWED_MOST_SPARE_MS), OWED_MS);
}

uint32_t esp_at__owed_left_ms(const struct esp_at *modem, uint32_t now_ms)
{
    uint32_t left_ms = modem->owed_until_ms - now_ms;
    return left_ms <= OWED_MS ? left_ms : 0;
}

void esp_at__add_owed(struct esp_at *modem, int was_taken, uint32_t from_ms, uint32_t now_ms)
{
    uint32_t left_ms = esp_at__owing_ms(modem), gone_ms = now_ms - from_ms;
    left_ms -= least(left_ms, gone_ms);
    if (modem->owes_end == 0) {
        modem->owed_gone_ms = from_ms;
        modem->owed_was_taken = 1;
        modem->owed_until_ms = now_ms;
    }
    modem->owed_was_taken = (uint8_t)(modem->owed_was_taken && was_taken);
    if (!was_taken)
        count_up(&modem->owes_taken);
    modem->owed_until_ms = now_ms + most(esp_at__owed_left_ms(modem, now_ms), left_ms);
    count_up(&modem->owes_end);
}

void esp_at__note_owed_taken(struct esp_at *modem, uint32_t now_ms)
{
    if (modem->owes_end == 0 || modem->owed_was_taken)
        return;
    modem->owed_was_taken = 1;
    modem->owed_until_ms = now_ms + esp_at__owing_ms(modem);
}

/* Of the modem's words about a datagram before, one has come. About which, is not known: it took no longer
 * than since the first that is owed. */
static void learn_owed(struct esp_at *modem, uint32_t now_ms)
{
    modem->sent_ms = (uint16_t)most(modem->sent_ms, least(now_ms - modem->owed_gone_ms, MAX_SLOW_MS));
}

void esp_at__hear_owed_taken(struct esp_at *modem, uint32_t now_ms)
{
    if (modem->owes_taken > 0) {
        modem->owes_taken--;
        modem->owed_was_taken = 1;
        if (modem->sent_ms > 0)
            learn_owed(modem, now_ms);
        modem->owed_until_ms = now_ms + most(esp_at__owed_left_ms(modem, now_ms), esp_at__owing_ms(modem));
        return;
    }
    modem->trust = 0;
    esp_at__add_owed(modem, 1, now_ms, now_ms);
    modem->owed_gone_ms = now_ms - MAX_SLOW_MS; /* long ago, perhaps */
    modem->owed_until_ms = now_ms + OWED_MS;
}

void esp_at__pay_owed(struct esp_at *modem, uint32_t now_ms)
{
    learn_owed(modem, now_ms);
    if (--modem->owes_end == 0)
        modem->owed_failed = modem->owes_taken = modem->was_drained = 0;
}

void esp_at__forget_owed(struct esp_at *modem, uint32_t now_ms)
{
    if (modem->owes_prompt && now_ms - modem->owed_ms >= OWED_MS)
        modem->owes_prompt = 0;
    if (modem->owes_end == 0 || !modem->owed_was_taken || esp_at__owed_left_ms(modem, now_ms) > 0)
        return;
    if (modem->owed_failed)
        count_up(&modem->fails_alone);
    modem->owes_end = modem->owes_taken = modem->owed_failed = modem->was_drained = 0;
}

void esp_at__owe(struct esp_at *modem, uint32_t now_ms)
{
    modem->owes_prompt = !modem->was_prompted;
    modem->owed_ms = now_ms;
    modem->owed_failed |= modem->was_failed;
    esp_at__add_owed(modem, modem->was_taken, modem->is_handed_over ? modem->gone_ms : now_ms, now_ms);
    if (modem->was_taken && modem->trust < TRUSTED) /* late, or lost */
        modem->owed_until_ms = now_ms + OWED_MS;
}
