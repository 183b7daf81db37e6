"""What the stand-ins for managed Redis services have in common: servers, exports, quotas, faults."""
