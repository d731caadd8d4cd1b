# The provider xen keeps the contract of ring/hv/hv.h: the suite that the other providers pass too, with dom0 at both ends.
# limit: 180 s
. /cases/functions.sh
before=$(lsevtchn 0 | wc -l)
hv_suite "one domain"
[ "$(lsevtchn 0 | wc -l)" = "$before" ] || fail "a port is left"
