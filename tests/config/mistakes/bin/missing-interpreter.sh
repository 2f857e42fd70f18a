#!/usr/local/bin/nosuch-shell
exec sleep 1000
