/* ST's STM32F746G-DISCO (Cortex-M7 at 216 MHz): start, time, watchdog, console, end. No interrupt is used, so
 * that nothing comes between the counted cycles. docs/BOARDS.md has the wiring. */
#include "board.h"
#include "parts.h"
#include "start.h"

const char board_count_unit[] = "cycles";

extern uint32_t board_stack_limit[], board_stack_end[];

enum {
    TIMER_HZ = 2000, /* 108 MHz needs a prescaler of 54,000, which has 16 bits: two ticks a millisecond */
    WATCHDOG_RELOAD = 4095,
    LED_PIN = 1, /* PI1: the green LD1 */
    OUTPUT = -1,
};
static struct clock clock;

/* RM0385 section 6.4. */
void pin_set(enum stm32_port port, unsigned pin, int function, unsigned pull)
{
    struct stm32_gpio *gpio = GPIO(port);
    RCC->ahb1enr |= RCC_AHB1_GPIO(port);
    (void)RCC->ahb1enr; /* the clock takes two cycles to come: section 5.2.12 */
    if (function >= 0)
        gpio->afr[pin / 8] = (gpio->afr[pin / 8] & ~(15U << 4 * (pin % 8))) | (uint32_t)function
                                                                                  << 4 * (pin % 8);
    gpio->pupdr = (gpio->pupdr & ~(3U << 2 * pin)) | pull << 2 * pin;
    gpio->ospeedr = (gpio->ospeedr & ~(3U << 2 * pin)) | 2U << 2 * pin; /* high speed */
    gpio->moder = (gpio->moder & ~(3U << 2 * pin)) | (function < 0 ? 1U : 2U) << 2 * pin;
}

static void set_led(int on)
{
    GPIO(PORT_I)->bsrr = on ? 1U << LED_PIN : 1U << (LED_PIN + 16);
}

/* Section 27: 4096 / (32 kHz / 64) = 8.2 s; the oscillator may be anywhere from 17 to 47 kHz, hence 5.6 to 15
 * s. */
static void start_watchdog(void)
{
    IWDG->kr = IWDG_KEY_START;
    IWDG->kr = IWDG_KEY_ACCESS;
    IWDG->pr = IWDG_PR_64;
    IWDG->rlr = WATCHDOG_RELOAD;
    wait_for(&IWDG->sr, IWDG_SR_BUSY, 0, FULL_SPEED_HZ / 1000);
    IWDG->kr = IWDG_KEY_KICK;
}

static void kick_watchdog(void)
{
    IWDG->kr = IWDG_KEY_KICK;
}

static void start_time(void)
{
    RCC->apb1enr |= RCC_APB1_TIM2;
    (void)RCC->apb1enr;
    TIM2->psc = clock.timer_hz / TIMER_HZ - 1;
    TIM2->arr = UINT32_MAX;
    TIM2->egr = TIM_EGR_UG; /* takes the prescaler over */
    TIM2->cr1 = TIM_CR1_CEN;
    DEMCR |= DEMCR_TRCENA;
    DWT_LAR = DWT_UNLOCK;
    DWT->cyccnt = 0;
    DWT->ctrl |= DWT_CTRL_CYCCNTENA;
}

/* Who is there, how fast, and why: the first line that a person sees. */
static void greet(void)
{
    static const char *const sources[] = {
        "crystal", "internal oscillator: the crystal failed",
        "internal oscillator alone: the PLL failed, the modem's speed is 2 % off"};
    uint32_t why = RCC->csr;
    RCC->csr |= RCC_CSR_RMVF;
    console_write("# stm32f746g-disco, ");
    console_number(clock.cpu_hz / 1000000U);
    console_write(" MHz (");
    console_write(sources[clock.source]);
    console_write(why & RCC_CSR_IWDGRSTF  ? "), restarted by the watchdog\n"
                  : why & RCC_CSR_SFTRSTF ? "), restarted by itself\n"
                                          : ")\n");
}

void board_start(void)
{
    SCB->vtor = FLASH_ADDRESS;
    pin_set(PORT_I, LED_PIN, OUTPUT, 0);
    set_led(1);
    start_watchdog();
    clock = clock_start();
    memory_protect((uint32_t)(uintptr_t)board_stack_limit);
    caches_enable();
    start_time();
    console_start();
    greet();
    modem_uart_start(clock.cpu_hz);
}

uint32_t board_count(void)
{
    kick_watchdog();
    return DWT->cyccnt;
}

uint32_t board_now_ms(void)
{
    /* The timer wraps after 24 days, this after 49: counted on as long as somebody asks in between. */
    static uint32_t last;
    static uint64_t ticks;
    uint32_t now = TIM2->cnt;
    kick_watchdog();
    ticks += now - last;
    last = now;
    return (uint32_t)(ticks / (TIMER_HZ / 1000));
}

void board_print(const char *text)
{
    kick_watchdog();
    console_write(text);
}

static void print_word(const char *name, uint32_t word)
{
    console_write(name);
    console_hex(word);
}

/* What the processor knows of an exception that nobody expected (PM0253 section 4.3). */
static void report_fault(void)
{
    uint32_t number, fault = SCB->cfsr;
    __asm__ volatile("mrs %0, ipsr" : "=r"(number));
    console_write("# exception ");
    console_number(number);
    print_word(", cfsr ", fault);
    print_word(", hfsr ", SCB->hfsr);
    if (fault & (SCB_CFSR_MMARVALID | SCB_CFSR_BFARVALID))
        print_word(", address ", fault & SCB_CFSR_MMARVALID ? SCB->mmfar : SCB->bfar);
    const uint32_t *frame = board_fault_frame;
    if (frame < board_stack_limit)
        console_write(", stack overflow");
    else if (frame + 8 <= board_stack_end) {
        print_word(", pc ", frame[6]);
        print_word(", lr ", frame[5]);
    }
    if (RCC->cir & RCC_CIR_CSSF)
        console_write(", the crystal stopped");
    console_write("\n");
}

static void print_line_errors(void)
{
    console_write("# modem line: overruns ");
    console_number(modem_uart_counts.overruns);
    console_write(", framing ");
    console_number(modem_uart_counts.framing);
    console_write(", ring full ");
    console_number(modem_uart_counts.lapped);
    console_write(", restarts ");
    console_number(modem_uart_counts.restarts);
    console_write("\n");
}

/* After an exception: a restart. After the program's end: blinks, slowly after 0, quickly after anything
 * else. */
void board_exit(int code)
{
    if (code == EXIT_EXCEPTION) {
        report_fault();
        console_flush();
        memory_barrier();
        SCB->aircr = SCB_AIRCR_RESET;
        for (;;) { /* until the reset; the watchdog's, if need be */
        }
    }
    print_line_errors();
    console_write("# exit ");
    console_number((uint32_t)code);
    console_write("\n");
    for (;;)
        set_led(board_now_ms() / (code == 0 ? 1000U : 100U) % 2 == 0);
}
