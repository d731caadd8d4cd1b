# The blkif suite against QEMU's qdisk, as a record of what it does: the case is ok when the suite came to its end.
# limit: 700 s
. /cases/blkif_suite.sh
DISKS=6 run_suite 'backendtype=qdisk,'
tail -n 20 /var/log/xen/qemu-*.log
