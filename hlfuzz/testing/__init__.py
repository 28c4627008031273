"""What the pytest plugin does once a test uses it; `hlfuzz.pytest_plugin` imports it when asked."""
