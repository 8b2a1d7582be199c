# Meters to publish; an empty list publishes all that are heard
WATCHED_METERS = [30114477, 61200345]  # gas, power

# Name of a process to wait for
PROCESS_WAIT_FOR_START = 'mosquitto'

# Broker
MQTT_HOST = 'broker.lan'
MQTT_PORT = 1883
MQTT_USER = 'meters'
MQTT_PASSWORD = "it's #1"

RTLAMR = '/usr/local/bin/rtlamr'
RTL_TCP = '/usr/bin/rtl_tcp -g 40'
