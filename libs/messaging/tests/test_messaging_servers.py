"""The servers the rest of the tests stand on."""

import psycopg


def test_every_test_gets_an_empty_database_of_its_own(fresh_database):
    with psycopg.connect(fresh_database) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert tables == (0,)


def test_every_test_gets_a_place_of_its_own_on_the_broker(amqp_vhost_url, amqp_url):
    assert amqp_vhost_url != amqp_url
