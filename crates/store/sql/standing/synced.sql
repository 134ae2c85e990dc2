SELECT network, read_up_to FROM sync_cursors ORDER BY network
