/* What Allobox's build of PJSIP changes. */
#define PJ_HAS_IPV6 1
#define PJSUA_MAX_CALLS 16
#define PJSUA_MAX_ACC 32
#define PJMEDIA_HAS_VIDEO 0
/* Packets from a stranger after which the stream would be sent there: never. */
#define PJMEDIA_RTP_NAT_PROBATION_CNT 0x7fffffff
#define PJMEDIA_RTCP_NAT_PROBATION_CNT 0x7fffffff
