/* The registers of an STM32F746 that this board uses, and the bits of them that it touches.
 *
 * Sections are those of ST's reference manual RM0385; "PM0253" is ST's programming manual of the Cortex-M7,
 * "DS" the data sheet. With AGN_BOARD_SIMULATED the peripherals are variables of a test on the host, which
 * plays the hardware whenever this code waits (registers_polled). */
#ifndef AGN_BOARD_STM32F746_H
#define AGN_BOARD_STM32F746_H

#include <stdint.h>

/* RM0385 section 2.2.2: the flash on the AXI bus, which the caches are for. */
#define FLASH_ADDRESS 0x08000000U

/* RM0385 section 5.3: reset and clock control. */
struct stm32_rcc {
    volatile uint32_t cr, pllcfgr, cfgr, cir;
    volatile uint32_t ahb1rstr, ahb2rstr, ahb3rstr, reserved_1c, apb1rstr, apb2rstr, reserved_28[2];
    volatile uint32_t ahb1enr, ahb2enr, ahb3enr, reserved_3c, apb1enr, apb2enr, reserved_48[2];
    volatile uint32_t ahb1lpenr, ahb2lpenr, ahb3lpenr, reserved_5c, apb1lpenr, apb2lpenr, reserved_68[2];
    volatile uint32_t bdcr, csr, reserved_78[2], sscgr, plli2scfgr, pllsaicfgr, dckcfgr1, dckcfgr2;
};

#define RCC_CR_HSION         (1U << 0)
#define RCC_CR_HSIRDY        (1U << 1)
#define RCC_CR_HSEON         (1U << 16)
#define RCC_CR_HSERDY        (1U << 17)
#define RCC_CR_CSSON         (1U << 19)
#define RCC_CR_PLLON         (1U << 24)
#define RCC_CR_PLLRDY        (1U << 25)
#define RCC_PLLCFGR_M(m)     ((uint32_t)(m) << 0)
#define RCC_PLLCFGR_N(n)     ((uint32_t)(n) << 6)
#define RCC_PLLCFGR_P2       (0U << 16)
#define RCC_PLLCFGR_HSE      (1U << 22)
#define RCC_PLLCFGR_Q(q)     ((uint32_t)(q) << 24)
#define RCC_PLLCFGR_RESERVED 0xF0000000U /* to be kept as they are */
#define RCC_CFGR_SW_MASK     (3U << 0)
#define RCC_CFGR_SW_HSI      (0U << 0)
#define RCC_CFGR_SW_PLL      (2U << 0)
#define RCC_CFGR_SWS_MASK    (3U << 2)
#define RCC_CFGR_SWS_HSI     (0U << 2)
#define RCC_CFGR_SWS_PLL     (2U << 2)
#define RCC_CFGR_DIV_MASK    (0xFU << 4 | 7U << 10 | 7U << 13) /* HPRE, PPRE1, PPRE2 */
#define RCC_CFGR_PPRE1_4     (5U << 10)
#define RCC_CFGR_PPRE2_2     (4U << 13)
#define RCC_CIR_CSSF         (1U << 7)
#define RCC_CSR_RMVF         (1U << 24)
#define RCC_CSR_SFTRSTF      (1U << 28)
#define RCC_CSR_IWDGRSTF     (1U << 29)
#define RCC_AHB1_GPIO(p)     (1U << (p)) /* 0 for port A */
#define RCC_AHB1_DMA1        (1U << 21)
#define RCC_AHB1_DMA2        (1U << 22)
#define RCC_APB1_TIM2        (1U << 0)
#define RCC_APB1_PWR         (1U << 28)
#define RCC_APB1_UART7       (1U << 30)
#define RCC_APB2_USART1      (1U << 4)
#define RCC_APB2_USART6      (1U << 5)
#define RCC_DCKCFGR2_SYSCLK  1U /* the clock of a UART, two bits each */
#define RCC_DCKCFGR2_HSI     2U
#define RCC_DCKCFGR2_USART1  0 /* and where they stand */
#define RCC_DCKCFGR2_USART6  10
#define RCC_DCKCFGR2_UART7   12

/* RM0385 section 4.4: power control. */
struct stm32_pwr {
    volatile uint32_t cr1, csr1, cr2, csr2;
};
#define PWR_CR1_VOS_SCALE1 (3U << 14)
#define PWR_CR1_ODEN       (1U << 16)
#define PWR_CR1_ODSWEN     (1U << 17)
#define PWR_CSR1_ODRDY     (1U << 16)
#define PWR_CSR1_ODSWRDY   (1U << 17)

/* RM0385 section 3.7: the flash's interface. */
struct stm32_flash {
    volatile uint32_t acr, keyr, optkeyr, sr, cr, optcr, optcr1;
};
#define FLASH_ACR_LATENCY_MASK 0xFU
#define FLASH_ACR_PRFTEN       (1U << 8)
#define FLASH_ACR_ARTEN        (1U << 9)
#define FLASH_ACR_ARTRST       (1U << 11)

/* RM0385 section 6.4: pins. */
struct stm32_gpio {
    volatile uint32_t moder, otyper, ospeedr, pupdr, idr, odr, bsrr, lckr, afr[2];
};
enum stm32_port { PORT_A, PORT_B, PORT_C, PORT_F = 5, PORT_I = 8 };

/* RM0385 section 8.5: DMA. */
struct stm32_dma_stream {
    volatile uint32_t cr, ndtr, par, m0ar, m1ar, fcr;
};
struct stm32_dma {
    volatile uint32_t isr[2], ifcr[2];
    struct stm32_dma_stream stream[8];
};
#define DMA_CR_EN         (1U << 0)
#define DMA_CR_TO_DEVICE  (1U << 6)
#define DMA_CR_CIRC       (1U << 8)
#define DMA_CR_MINC       (1U << 10)
#define DMA_CR_HIGH       (2U << 16)
#define DMA_CR_CHANNEL(c) ((uint32_t)(c) << 25)
/* Flags of a stream, at a place that differs from stream to stream (section 8.5.1). */
#define DMA_FLAG_FE  (1U << 0)
#define DMA_FLAG_DME (1U << 2)
#define DMA_FLAG_TE  (1U << 3)
#define DMA_FLAG_HT  (1U << 4)
#define DMA_FLAG_TC  (1U << 5)
#define DMA_FLAG_ALL (DMA_FLAG_FE | DMA_FLAG_DME | DMA_FLAG_TE | DMA_FLAG_HT | DMA_FLAG_TC)

/* RM0385 section 31.8: USART and UART. */
struct stm32_usart {
    volatile uint32_t cr1, cr2, cr3, brr, gtpr, rtor, rqr, isr, icr, rdr, tdr;
};
#define USART_CR1_UE   (1U << 0)
#define USART_CR1_RE   (1U << 2)
#define USART_CR1_TE   (1U << 3)
#define USART_CR3_DMAR (1U << 6)
#define USART_CR3_DMAT (1U << 7)
#define USART_CR3_RTSE (1U << 8)
#define USART_CR3_CTSE (1U << 9)
#define USART_ISR_FE   (1U << 1)
#define USART_ISR_NF   (1U << 2)
#define USART_ISR_ORE  (1U << 3)
#define USART_ISR_TC   (1U << 6)
#define USART_ISR_TXE  (1U << 7)
/* In ICR the bits that clear these flags stand where the flags do in ISR; PE is bit 0. */
#define USART_ICR_ERRORS (1U << 0 | USART_ISR_FE | USART_ISR_NF | USART_ISR_ORE)

/* RM0385 section 23.4: TIM2, 32 bits wide. */
struct stm32_timer {
    volatile uint32_t cr1, cr2, smcr, dier, sr, egr, ccmr1, ccmr2, ccer, cnt, psc, arr;
};
#define TIM_CR1_CEN (1U << 0)
#define TIM_EGR_UG  (1U << 0)

/* RM0385 section 27.4: the independent watchdog. */
struct stm32_iwdg {
    volatile uint32_t kr, pr, rlr, sr, winr;
};
#define IWDG_KEY_KICK   0xAAAAU
#define IWDG_KEY_ACCESS 0x5555U
#define IWDG_KEY_START  0xCCCCU
#define IWDG_PR_64      4U
#define IWDG_SR_BUSY    (1U << 0 | 1U << 1) /* PVU, RVU */

/* PM0253 section 4.3: system control block, caches and MPU of the Cortex-M7. */
struct core_scb {
    volatile uint32_t cpuid, icsr, vtor, aircr, scr, ccr, shpr[3], shcsr, cfsr, hfsr, dfsr, mmfar, bfar, afsr;
    volatile uint32_t reserved_40[14], clidr, ctr, ccsidr, csselr, cpacr, reserved_8c;
    volatile uint32_t mpu_type, mpu_ctrl, mpu_rnr, mpu_rbar, mpu_rasr;
};
#define SCB_AIRCR_RESET    (0x05FAU << 16 | 1U << 2)
#define SCB_CCR_DC         (1U << 16)
#define SCB_CCR_IC         (1U << 17)
#define SCB_CFSR_MMARVALID (1U << 7)
#define SCB_CFSR_BFARVALID (1U << 15)
#define MPU_CTRL_ENABLE    (1U << 0)
/* PM0253 section 4.8: whole-cache operations. */
struct core_cache {
    volatile uint32_t iciallu, reserved_4, icimvau, dcimvac, dcisw;
};
/* Armv7-M Architecture Reference Manual, C1.8: data watchpoint and trace, for its cycle counter. */
struct core_dwt {
    volatile uint32_t ctrl, cyccnt;
};
#define DWT_CTRL_CYCCNTENA 1U
#define DWT_UNLOCK         0xC5ACCE55U /* the Cortex-M7 locks these registers; written to the LAR */
#define DEMCR_TRCENA       (1U << 24)

#ifdef AGN_BOARD_SIMULATED
struct stm32_chip {
    struct core_scb scb;
    struct core_cache cache;
    struct stm32_rcc rcc;
    struct stm32_pwr pwr;
    struct stm32_flash flash;
    struct stm32_gpio gpio[9];
    struct stm32_dma dma1, dma2;
    struct stm32_usart usart1, usart6, uart7;
    struct stm32_timer tim2;
    struct stm32_iwdg iwdg;
};
extern struct stm32_chip simulated_chip;
void registers_polled(void);
#define RCC      (&simulated_chip.rcc)
#define PWR      (&simulated_chip.pwr)
#define FLASH_IF (&simulated_chip.flash)
#define GPIO(p)  (&simulated_chip.gpio[p])
#define DMA1     (&simulated_chip.dma1)
#define DMA2     (&simulated_chip.dma2)
#define USART1   (&simulated_chip.usart1)
#define USART6   (&simulated_chip.usart6)
#define UART7    (&simulated_chip.uart7)
#define TIM2     (&simulated_chip.tim2)
#define IWDG     (&simulated_chip.iwdg)
#define SCB      (&simulated_chip.scb)
#define CACHE    (&simulated_chip.cache)
static inline void memory_barrier(void)
{
}
#else
/* RM0385 section 2.2.2: the memory map. */
#define RCC      ((struct stm32_rcc *)0x40023800U)
#define PWR      ((struct stm32_pwr *)0x40007000U)
#define FLASH_IF ((struct stm32_flash *)0x40023C00U)
#define GPIO(p)  ((struct stm32_gpio *)(0x40020000U + 0x400U * (uint32_t)(p)))
#define DMA1     ((struct stm32_dma *)0x40026000U)
#define DMA2     ((struct stm32_dma *)0x40026400U)
#define USART1   ((struct stm32_usart *)0x40011000U)
#define USART6   ((struct stm32_usart *)0x40011400U)
#define UART7    ((struct stm32_usart *)0x40007800U)
#define TIM2     ((struct stm32_timer *)0x40000000U)
#define IWDG     ((struct stm32_iwdg *)0x40003000U)
#define SCB      ((struct core_scb *)0xE000ED00U)
#define CACHE    ((struct core_cache *)0xE000EF50U)
#define DWT      ((struct core_dwt *)0xE0001000U)
#define DWT_LAR  (*(volatile uint32_t *)0xE0001FB0U)
#define DEMCR    (*(volatile uint32_t *)0xE000EDFCU)
/* What was written is there, and what comes next sees it. */
static inline void memory_barrier(void)
{
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}
static inline void registers_polled(void)
{
}
#endif

/* Waits until the masked bits have the value, for at most `polls` looks, so never without end; whether they
 * had it. A look takes at least 4 cycles. */
static inline int wait_for(const volatile uint32_t *reg, uint32_t mask, uint32_t value, uint32_t polls)
{
    for (; polls > 0; polls--) {
        if ((*reg & mask) == value)
            return 1;
        registers_polled();
    }
    return 0;
}

#endif
