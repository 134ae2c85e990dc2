SELECT service, workers, last_beat FROM services_seen ORDER BY service
