/* Clocks: 216 MHz from the crystal; where that fails, from the chip's own oscillator; where the PLL fails,
 * that oscillator alone. No wait is without a bound.
 *
 * Left to others: which clock a UART takes (its own file). */
#include "parts.h"

enum {
    /* Looks at a flag, of 4 cycles at least, 0.25 us at HSI's 16 MHz. By the data sheet a crystal needs some
     * 2 ms, the PLL 0.3 ms, over-drive less. */
    POLLS_CRYSTAL = 400000, /* 0.1 s or more */
    POLLS_FLAG = 40000,     /* 10 ms or more */
    PLL_N = 432,            /* 1 MHz x 432 / 2 = 216 MHz */
    PLL_Q = 9,              /* 48 MHz for USB, not used */
    CRYSTAL_MHZ = 25,
    HSI_MHZ = 16,
    WAIT_STATES_216 = 7, /* section 3.3.2, table 5: 210 < HCLK <= 216 MHz at 2.7 to 3.6 V */
};

/* Back to what a reset leaves: HSI, no PLL, no over-drive. A program started by a debugger or a boot loader
 * may find anything. */
static void run_from_hsi(void)
{
    RCC->cr |= RCC_CR_HSION;
    wait_for(&RCC->cr, RCC_CR_HSIRDY, RCC_CR_HSIRDY, POLLS_FLAG);
    RCC->cfgr &= ~RCC_CFGR_SW_MASK;
    wait_for(&RCC->cfgr, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_HSI, POLLS_FLAG);
    RCC->cfgr &= ~RCC_CFGR_DIV_MASK;
    RCC->cr &= ~(RCC_CR_PLLON | RCC_CR_CSSON);
    wait_for(&RCC->cr, RCC_CR_PLLRDY, 0, POLLS_FLAG);
    PWR->cr1 &= ~(PWR_CR1_ODEN | PWR_CR1_ODSWEN);
}

static int start_crystal(void)
{
    RCC->cr |= RCC_CR_HSEON;
    if (wait_for(&RCC->cr, RCC_CR_HSERDY, RCC_CR_HSERDY, POLLS_CRYSTAL))
        return 1;
    RCC->cr &= ~RCC_CR_HSEON;
    return 0;
}

/* Section 4.1.4, "Entering Over-drive mode": while the PLL locks, before it is the system clock. */
static int start_over_drive(void)
{
    PWR->cr1 |= PWR_CR1_ODEN;
    if (!wait_for(&PWR->csr1, PWR_CSR1_ODRDY, PWR_CSR1_ODRDY, POLLS_FLAG))
        return 0;
    PWR->cr1 |= PWR_CR1_ODSWEN;
    return wait_for(&PWR->csr1, PWR_CSR1_ODSWRDY, PWR_CSR1_ODSWRDY, POLLS_FLAG);
}

/* The flash answers 7 wait states late at 216 MHz; section 3.3.2 wants the new figure read back before the
 * clock goes up. The accelerator works on the ITCM interface (0x00200000) only and is on for code that is
 * linked there. */
static int slow_flash(void)
{
    FLASH_IF->acr &= ~FLASH_ACR_ARTEN;
    FLASH_IF->acr |= FLASH_ACR_ARTRST;
    FLASH_IF->acr &= ~FLASH_ACR_ARTRST;
    FLASH_IF->acr = FLASH_ACR_ARTEN | FLASH_ACR_PRFTEN | (uint32_t)WAIT_STATES_216;
    return wait_for(&FLASH_IF->acr, FLASH_ACR_LATENCY_MASK, (uint32_t)WAIT_STATES_216, POLLS_FLAG);
}

/* From HSI to the PLL, whose input is `mhz` MHz of the crystal (`source` RCC_PLLCFGR_HSE) or of HSI (0). */
static int run_from_pll(unsigned mhz, uint32_t source)
{
    PWR->cr1 |= PWR_CR1_VOS_SCALE1; /* with the PLL off: section 4.1.3 */
    RCC->pllcfgr = (RCC->pllcfgr & RCC_PLLCFGR_RESERVED) | RCC_PLLCFGR_M(mhz) | RCC_PLLCFGR_N(PLL_N) |
                   RCC_PLLCFGR_P2 | source | RCC_PLLCFGR_Q(PLL_Q);
    RCC->cr |= RCC_CR_PLLON;
    if (!start_over_drive() || !slow_flash() || !wait_for(&RCC->cr, RCC_CR_PLLRDY, RCC_CR_PLLRDY, POLLS_FLAG))
        return 0;
    /* APB1 at 54 MHz, APB2 at 108 MHz, their limits, before the clock goes up. */
    RCC->cfgr = (RCC->cfgr & ~RCC_CFGR_DIV_MASK) | RCC_CFGR_PPRE1_4 | RCC_CFGR_PPRE2_2;
    RCC->cfgr = (RCC->cfgr & ~RCC_CFGR_SW_MASK) | RCC_CFGR_SW_PLL;
    return wait_for(&RCC->cfgr, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_PLL, POLLS_FLAG);
}

struct clock clock_start(void)
{
    /* Timers of a divided APB1 run at twice its clock (section 5.2, TIMPRE = 0): half of the CPU's. */
    struct clock fast = {CLOCK_HSE_PLL, FULL_SPEED_HZ, FULL_SPEED_HZ / 2};
    const struct clock slow = {CLOCK_HSI, HSI_HZ, HSI_HZ};
    RCC->apb1enr |= RCC_APB1_PWR;
    (void)RCC->apb1enr; /* the clock takes two cycles to come: section 5.2.12 */
    run_from_hsi();
    if (start_crystal()) {
        if (run_from_pll(CRYSTAL_MHZ, RCC_PLLCFGR_HSE)) {
            /* A crystal that stops later: the hardware goes back to HSI and raises an NMI, which ends in a
             * reset. */
            RCC->cr |= RCC_CR_CSSON;
            return fast;
        }
        run_from_hsi();
        RCC->cr &= ~RCC_CR_HSEON;
    }
    if (run_from_pll(HSI_MHZ, 0)) {
        fast.source = CLOCK_HSI_PLL;
        return fast;
    }
    run_from_hsi();
    return slow;
}
