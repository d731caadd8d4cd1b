# The blkif suite against Linux's xen-blkback, as a record of what it does: the case is ok when the suite came to its end.
# limit: 700 s
. /cases/blkif_suite.sh
insmod /modules/xen-blkback.ko
DISKS=6 run_suite ''
dmesg | tail -30
