/* The set-up code of the board stm32f746g-disco against registers that behave as the reference manual says,
 * or as broken hardware does: clocks, memory protection, caches, the serial line's DMA. The code is the
 * board's own; AGN_BOARD_SIMULATED only puts `simulated_chip` where the peripherals are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define AGN_BOARD_SIMULATED
/* NOLINTBEGIN(bugprone-suspicious-include): static functions of files that no host library has */
#include "boards/stm32f746g-disco/cache_mpu.c"
#include "boards/stm32f746g-disco/clock.c"
#include "boards/stm32f746g-disco/modem_uart.c"
/* NOLINTEND(bugprone-suspicious-include) */

struct stm32_chip simulated_chip;

/* What is broken, and how many looks at its flag a part takes to get ready. */
static struct {
    int no_crystal, crystal_does_not_lock, no_pll, no_over_drive, nothing_works;
    uint32_t delay;
} hardware;
static uint32_t polls, now_ms;
static struct {
    uint32_t base, rasr;
} mpu[8];
static uint8_t invalidated[4][32];

uint32_t board_now_ms(void)
{
    return now_ms;
}

void pin_set(enum stm32_port port, unsigned pin, int function, unsigned pull)
{
    assert_true(pin < 16 && function < 16 && pull <= 2);
    RCC->ahb1enr |= RCC_AHB1_GPIO(port);
}

static void set_flag(volatile uint32_t *reg, uint32_t flag, int on)
{
    *reg = on ? *reg | flag : *reg & ~flag;
}

/* A flag that comes after `delay` looks, and goes at once. */
static void ready_later(volatile uint32_t *reg, uint32_t flag, int wanted, uint32_t *waited)
{
    *waited = wanted ? *waited + 1 : 0;
    set_flag(reg, flag, *waited > hardware.delay);
}

static void play_clocks(void)
{
    static uint32_t crystal_waited, pll_waited, over_drive_waited, switch_waited;
    int from_crystal = (RCC->pllcfgr & RCC_PLLCFGR_HSE) != 0;
    int crystal = (RCC->cr & RCC_CR_HSEON) && !hardware.no_crystal;
    set_flag(&RCC->cr, RCC_CR_HSIRDY, (RCC->cr & RCC_CR_HSION) != 0);
    ready_later(&RCC->cr, RCC_CR_HSERDY, crystal, &crystal_waited);
    int pll = (RCC->cr & RCC_CR_PLLON) && !hardware.no_pll &&
              !(from_crystal && (hardware.crystal_does_not_lock || !(RCC->cr & RCC_CR_HSERDY)));
    ready_later(&RCC->cr, RCC_CR_PLLRDY, pll, &pll_waited);
    ready_later(&PWR->csr1, PWR_CSR1_ODRDY, (PWR->cr1 & PWR_CR1_ODEN) && !hardware.no_over_drive,
                &over_drive_waited);
    ready_later(&PWR->csr1, PWR_CSR1_ODSWRDY, (PWR->cr1 & PWR_CR1_ODSWEN) && (PWR->csr1 & PWR_CSR1_ODRDY),
                &switch_waited);
    if ((RCC->cfgr & RCC_CFGR_SW_MASK) == RCC_CFGR_SW_HSI)
        RCC->cfgr &= ~RCC_CFGR_SWS_MASK;
    else if ((RCC->cfgr & RCC_CFGR_SW_MASK) == RCC_CFGR_SW_PLL && (RCC->cr & RCC_CR_PLLRDY))
        RCC->cfgr = (RCC->cfgr & ~RCC_CFGR_SWS_MASK) | RCC_CFGR_SWS_PLL;
    if ((RCC->cfgr & RCC_CFGR_SW_MASK) != RCC_CFGR_SW_PLL)
        return;
    /* At 216 MHz nothing may be out of its limits. */
    assert_int_equal(FLASH_IF->acr & FLASH_ACR_LATENCY_MASK, 7);
    assert_true(PWR->csr1 & PWR_CSR1_ODSWRDY);
    assert_true(RCC->cr & RCC_CR_PLLRDY);
    assert_int_equal(RCC->cfgr & RCC_CFGR_DIV_MASK, RCC_CFGR_PPRE1_4 | RCC_CFGR_PPRE2_2);
}

void registers_polled(void)
{
    polls++;
    if (SCB->mpu_rasr & RASR_ENABLE) {
        mpu[SCB->mpu_rnr].base = SCB->mpu_rbar;
        mpu[SCB->mpu_rnr].rasr = SCB->mpu_rasr;
    }
    if (SCB->ccsidr)
        invalidated[CACHE->dcisw >> 30][CACHE->dcisw >> 5 & 31]++;
    if (!hardware.nothing_works)
        play_clocks();
}

/* After a reset; the PLL wants one poll to see that it is off. */
static int reset_chip(void **state)
{
    (void)state;
    memset(&simulated_chip, 0, sizeof simulated_chip);
    memset(&hardware, 0, sizeof hardware);
    memset(mpu, 0, sizeof mpu);
    memset(invalidated, 0, sizeof invalidated);
    RCC->cr = 0x83;
    RCC->pllcfgr = 0x24003010;
    PWR->cr1 = 0xC000;
    hardware.delay = 100;
    polls = 0;
    now_ms = 0;
    return 0;
}

static void assert_full_speed(const struct clock *clock, enum clock_source source, uint32_t pll)
{
    assert_int_equal(clock->source, source);
    assert_int_equal(clock->cpu_hz, 216000000);
    assert_int_equal(clock->timer_hz, 108000000);
    assert_int_equal(RCC->cfgr & RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_PLL);
    assert_int_equal(RCC->pllcfgr, pll);
    assert_int_equal(FLASH_IF->acr, 0x307); /* accelerator, prefetch, 7 wait states */
    assert_int_equal(PWR->cr1, 0x3C000);    /* scale 1, over-drive on and switched to */
    assert_true(RCC->apb1enr & RCC_APB1_PWR);
}

static void assert_slow(const struct clock *clock)
{
    assert_int_equal(clock->source, CLOCK_HSI);
    assert_int_equal(clock->cpu_hz, 16000000);
    assert_int_equal(clock->timer_hz, 16000000);
    assert_int_equal(RCC->cfgr, 0);
    assert_false(RCC->cr & (RCC_CR_PLLON | RCC_CR_HSEON | RCC_CR_CSSON));
    assert_true(RCC->cr & RCC_CR_HSION);
    assert_false(PWR->cr1 & (PWR_CR1_ODEN | PWR_CR1_ODSWEN));
}

static void test_clock_from_the_crystal(void **state)
{
    (void)state;
    struct clock clock = clock_start();
    assert_full_speed(&clock, CLOCK_HSE_PLL,
                      0x29406C19); /* reserved bits kept, Q 9, crystal, P 2, N 432, M 25 */
    assert_true(RCC->cr & RCC_CR_CSSON);
}

/* As a boot loader or a debugger may leave it. */
static void test_clock_from_full_speed(void **state)
{
    (void)state;
    clock_start();
    struct clock clock = clock_start();
    assert_full_speed(&clock, CLOCK_HSE_PLL, 0x29406C19);
}

static void test_clock_without_crystal(void **state)
{
    (void)state;
    hardware.no_crystal = 1;
    struct clock clock = clock_start();
    assert_full_speed(&clock, CLOCK_HSI_PLL, 0x29006C10); /* M 16 */
    assert_false(RCC->cr & (RCC_CR_HSEON | RCC_CR_CSSON));
    assert_in_range(polls, 400000, 500000); /* 0.1 s at 4 cycles a look */
}

static void test_clock_with_a_bad_crystal(void **state)
{
    (void)state;
    hardware.crystal_does_not_lock = 1;
    struct clock clock = clock_start();
    assert_full_speed(&clock, CLOCK_HSI_PLL, 0x29006C10);
    assert_false(RCC->cr & (RCC_CR_HSEON | RCC_CR_CSSON));
}

static void test_clock_without_pll(void **state)
{
    (void)state;
    hardware.no_pll = 1;
    struct clock clock = clock_start();
    assert_slow(&clock);
}

static void test_clock_without_over_drive(void **state)
{
    (void)state;
    hardware.no_over_drive = 1;
    struct clock clock = clock_start();
    assert_slow(&clock);
}

/* Not one flag ever moves: it comes back all the same, soon enough for the watchdog. */
static void test_clock_of_dead_hardware(void **state)
{
    (void)state;
    hardware.nothing_works = 1;
    RCC->cr = 0;
    struct clock clock = clock_start();
    assert_int_equal(clock.source, CLOCK_HSI);
    assert_in_range(polls, 1, 1000000); /* 4 s at 64 cycles a look */
}

/* The attributes that count for an address, or 0 where no region has it. */
static uint32_t attributes_of(uint32_t address)
{
    for (int i = 7; i >= 0; i--) {
        if (!(mpu[i].rasr & RASR_ENABLE))
            continue;
        unsigned log2_size = (mpu[i].rasr >> 1 & 31U) + 1;
        uint32_t offset = address - mpu[i].base, eighth = offset >> (log2_size - 3);
        if (eighth < 8 && !(mpu[i].rasr >> (8 + eighth) & 1U))
            return mpu[i].rasr & 0x1F3F0000U;
    }
    return 0;
}

static void test_memory_protection(void **state)
{
    (void)state;
    const uint32_t stack_limit = 0x2004A000, code = RASR_READ_ONLY | RASR_WRITE_BACK,
                   data = RASR_READ_WRITE | RASR_XN | RASR_WRITE_BACK,
                   dma = RASR_READ_WRITE | RASR_XN | RASR_NOT_CACHED,
                   device = RASR_READ_WRITE | RASR_XN | RASR_DEVICE, nobody = RASR_XN;
    const struct {
        uint32_t address, attributes;
    } expected[] = {
        {0, 0},
        {0x3FFF, 0},
        {0x00200000, 0},
        {0x07FFFFFF, 0},
        {0x08000000, code},
        {0x080FFFFF, code},
        {0x08100000, 0},
        {0x1FF0F420, 0},
        {0x20000000, data},
        {0x2000FFFF, data},
        {0x20010000, data},
        {stack_limit - 257, data},
        {stack_limit - 256, nobody},
        {stack_limit - 1, nobody},
        {stack_limit, data},
        {0x2004BFFF, data},
        {0x2004C000, dma},
        {0x2004FFFF, dma},
        {0x20050000, 0},
        {0x2007FFFF, 0},
        {0x40000000, device},
        {0x40026400, device},
        {0x4007FFFF, device},
        {0x40080000, 0},
        {0x60000000, 0},
        {0xC0000000, 0},
    };
    memory_protect(stack_limit);
    assert_int_equal(SCB->mpu_ctrl, 1);
    for (int i = 0; i < 8; i++)
        if (mpu[i].rasr)
            assert_int_equal(mpu[i].base & ((2U << (mpu[i].rasr >> 1 & 31U)) - 1), 0);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_int_equal(attributes_of(expected[i].address), expected[i].attributes);
}

static void test_caches(void **state)
{
    (void)state;
    SCB->ccsidr = 1U | 3U << 3 | 31U << 13; /* 4 KB: lines of 32 bytes, 4 ways, 32 sets */
    caches_enable();
    assert_int_equal(SCB->ccr, SCB_CCR_IC | SCB_CCR_DC);
    for (int way = 0; way < 4; way++)
        for (int set = 0; set < 32; set++)
            assert_int_equal(invalidated[way][set], 1);
    caches_enable(); /* again: what the data cache holds is not thrown away */
    assert_int_equal(invalidated[0][0], 1);
}

/* The other end of the line, with the DMA in between. */
static uint32_t line_at;
static uint8_t line_next;

static void finish_clears(void)
{
    for (int i = 0; i < 2; i++) {
        DMA2->isr[i] &= ~DMA2->ifcr[i];
        DMA2->ifcr[i] = 0;
    }
}

static void line_gives(uint32_t count)
{
    finish_clears();
    assert_true(DMA2->stream[1].cr & DMA_CR_EN);
    for (; count > 0; count--) {
        modem_in[line_at++] = line_next++;
        if (line_at == IN_BYTES) {
            line_at = 0;
            DMA2->isr[0] |= DMA_FLAG_TC << 6;
        }
    }
    DMA2->stream[1].ndtr = IN_BYTES - line_at;
}

static size_t read_some(uint8_t *bytes, size_t cap)
{
    finish_clears();
    return board_uart_read(bytes, cap);
}

static int start_line(void **state)
{
    reset_chip(state);
    memset(&modem_uart_counts, 0, sizeof modem_uart_counts);
    modem_uart_start(FULL_SPEED_HZ);
    finish_clears();
    line_at = 0;
    line_next = 0;
    return 0;
}

static void test_line_settings(void **state)
{
    (void)state;
    const struct stm32_dma_stream *in = &DMA2->stream[1];
    assert_int_equal(USART6->brr, 234);
    assert_int_equal(USART6->cr1, USART_CR1_UE | USART_CR1_RE | USART_CR1_TE);
    assert_int_equal(USART6->cr3, USART_CR3_DMAR | USART_CR3_DMAT);
    assert_int_equal(in->cr, 5U << 25 | DMA_CR_HIGH | DMA_CR_MINC | DMA_CR_CIRC | DMA_CR_EN);
    assert_int_equal(in->ndtr, IN_BYTES);
    assert_int_equal(in->par, (uint32_t)(uintptr_t)&USART6->rdr);
    assert_int_equal(in->m0ar, (uint32_t)(uintptr_t)modem_in);
    assert_true(RCC->apb2enr & RCC_APB2_USART6 && RCC->ahb1enr & RCC_AHB1_DMA2);
    assert_int_equal(RCC->dckcfgr2, RCC_DCKCFGR2_SYSCLK << 10);
    assert_int_equal(IN_BYTES + OUT_BYTES, 16384);
    assert_true(LAP_MS >= 100); /* docs/MODEM.md */
}

static uint32_t next_random(void)
{
    static uint32_t seed = 1;
    seed = seed * 1664525U + 1013904223U;
    return seed >> 16;
}

static void test_line_in(void **state)
{
    (void)state;
    uint8_t bytes[1000], expected = 0;
    uint32_t waiting = 0;
    for (int round = 0; round < 20000; round++) {
        uint32_t come = next_random() % 3 ? next_random() % 200 : next_random() % 6000;
        if (come + waiting >= IN_BYTES)
            come = 0;
        line_gives(come);
        waiting += come;
        size_t cap = next_random() % sizeof bytes, len = read_some(bytes, cap);
        assert_int_equal(len, waiting < cap ? waiting : cap);
        for (size_t i = 0; i < len; i++)
            assert_int_equal(bytes[i], expected++);
        waiting -= (uint32_t)len;
        now_ms++;
    }
    assert_int_equal(modem_uart_counts.lapped + modem_uart_counts.restarts, 0);
}

/* `come` bytes in one go, `later` ms after the last look: given up, and the line goes on from there. */
static void check_lapped(uint32_t come, uint32_t later)
{
    uint8_t bytes[16] = {0};
    uint32_t before = modem_uart_counts.lapped;
    now_ms += later;
    line_gives(come);
    assert_int_equal(read_some(bytes, sizeof bytes), 0);
    assert_int_equal(modem_uart_counts.lapped, before + 1);
    uint8_t expected = line_next;
    line_gives(10);
    assert_int_equal(read_some(bytes, sizeof bytes), 10);
    for (uint8_t i = 0; i < 10; i++)
        assert_int_equal(bytes[i], (uint8_t)(expected + i));
    assert_int_equal(modem_uart_counts.lapped, before + 1);
}

static void test_line_in_lapped(void **state)
{
    (void)state;
    check_lapped(IN_BYTES, 133);
    check_lapped(IN_BYTES + 1, 134);
    check_lapped(2 * IN_BYTES - 5, 267);
    check_lapped(2 * IN_BYTES, 267);
    check_lapped(2 * IN_BYTES + 300, 270);
    check_lapped(7 * IN_BYTES - 300, 10000);
    /* What was left before and what came since, together. */
    uint8_t bytes[16] = {0};
    line_gives(7000);
    assert_int_equal(read_some(bytes, sizeof bytes), 16);
    check_lapped(6000, 66);
}

/* Long silence is no loss. */
static void test_line_in_after_silence(void **state)
{
    (void)state;
    uint8_t bytes[16] = {0};
    now_ms += 60000;
    line_gives(16);
    assert_int_equal(read_some(bytes, sizeof bytes), 16);
    assert_int_equal(modem_uart_counts.lapped, 0);
}

static void test_line_errors(void **state)
{
    (void)state;
    uint8_t bytes[16] = {0};
    USART6->isr = USART_ISR_ORE | USART_ISR_FE;
    USART6->icr = 0;
    line_gives(3);
    assert_int_equal(read_some(bytes, sizeof bytes), 3);
    assert_int_equal(USART6->icr, USART_ICR_ERRORS);
    USART6->isr = 0;
    assert_int_equal(read_some(bytes, sizeof bytes), 0);
    assert_int_equal(modem_uart_counts.overruns, 1);
    assert_int_equal(modem_uart_counts.framing, 1);
    /* The stream gave up, as it does after a bus error. */
    DMA2->stream[1].cr &= ~DMA_CR_EN;
    assert_int_equal(read_some(bytes, sizeof bytes), 0);
    assert_int_equal(modem_uart_counts.restarts, 1);
    line_at = 0;
    line_gives(5);
    assert_int_equal(read_some(bytes, sizeof bytes), 5);
    assert_int_equal(bytes[4], 7);
}

/* What DMA has in hand, whole; how much. */
static uint32_t line_takes(uint8_t *expected)
{
    struct stm32_dma_stream *out = &DMA2->stream[6];
    finish_clears();
    if (!(out->cr & DMA_CR_EN))
        return 0;
    uint32_t count = out->ndtr, from = out->m0ar - (uint32_t)(uintptr_t)modem_out;
    assert_int_equal(out->cr, 5U << 25 | DMA_CR_MINC | DMA_CR_TO_DEVICE | DMA_CR_EN);
    assert_int_equal(out->par, (uint32_t)(uintptr_t)&USART6->tdr);
    assert_true(count > 0 && from + count <= OUT_BYTES);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(modem_out[from + i], (*expected)++);
    out->ndtr = 0;
    out->cr &= ~DMA_CR_EN;
    DMA2->isr[1] |= DMA_FLAG_TC << 16;
    return count;
}

static void test_line_out(void **state)
{
    (void)state;
    uint8_t bytes[3000], given = 0, taken = 0;
    uint64_t in = 0, out = 0;
    for (int round = 0; round < 20000; round++) {
        size_t len = next_random() % 4 ? next_random() % 100 : next_random() % sizeof bytes;
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)(given + i);
        size_t done = board_uart_write(bytes, len);
        assert_true(done <= len);
        given = (uint8_t)(given + done);
        in += done;
        if (next_random() % 3)
            out += line_takes(&taken);
        assert_true(in - out < OUT_BYTES);
    }
    for (int i = 0; i < 3; i++) {
        out += line_takes(&taken);
        read_some(bytes, 1); /* reading alone moves the output on */
    }
    assert_true(in > 1000000 && in == out);
}

/* A modem that holds CTS back: the ring fills and takes no more; and goes on when the modem does. */
static void test_line_out_held_back(void **state)
{
    (void)state;
    static uint8_t bytes[OUT_BYTES];
    uint8_t taken = 0;
    for (int i = 0; i < OUT_BYTES; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(board_uart_write(bytes, sizeof bytes), OUT_BYTES - 1);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(board_uart_write(bytes, sizeof bytes), 0);
    assert_int_equal(line_takes(&taken), OUT_BYTES - 1);
    uint8_t last = (uint8_t)(OUT_BYTES - 1);
    assert_int_equal(board_uart_write(&last, 1), 1);
    assert_int_equal(line_takes(&taken), 1);
}

#define ON_CHIP(test) cmocka_unit_test_setup(test, reset_chip)
#define ON_LINE(test) cmocka_unit_test_setup(test, start_line)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_CHIP(test_clock_from_the_crystal),
        ON_CHIP(test_clock_from_full_speed),
        ON_CHIP(test_clock_without_crystal),
        ON_CHIP(test_clock_with_a_bad_crystal),
        ON_CHIP(test_clock_without_pll),
        ON_CHIP(test_clock_without_over_drive),
        ON_CHIP(test_clock_of_dead_hardware),
        ON_CHIP(test_memory_protection),
        ON_CHIP(test_caches),
        ON_LINE(test_line_settings),
        ON_LINE(test_line_in),
        ON_LINE(test_line_in_lapped),
        ON_LINE(test_line_in_after_silence),
        ON_LINE(test_line_errors),
        ON_LINE(test_line_out),
        ON_LINE(test_line_out_held_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
