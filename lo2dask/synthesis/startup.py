"""Start-up lines of a service: they stand at the head of the log of whichever test case came first after a restart."""

from functools import cache

from lo2dask.synthesis.kinds import MAIN, RequestKind
from lo2dask.synthesis.statements import STATUS_LOADING

_CONFIG = "INFO  com.networknt.config.Config"
_FILES = ("server", "service", "openapi-security", "correlation", "audit", "body", "handler", "oauth_client")

_PAIRS = (
    ("com.networknt.oauth.cache.CacheStartupHookProvider", "com.networknt.server.StartupHookProvider"),
    ("com.networknt.oauth.cache.CacheShutdownHookProvider", "com.networknt.server.ShutdownHookProvider"),
    ("com.zaxxer.hikari.HikariDataSource", "javax.sql.DataSource"),
    ("com.networknt.oauth.auth.DefaultAuthenticator", "com.networknt.oauth.auth.Authenticator"),
)

_POOL = (
    "allowPoolSuspension.............false",
    "autoCommit......................true",
    "catalog.........................none",
    "connectionInitSql...............none",
    "connectionTestQuery.............none",
    "connectionTimeout...............30000",
    "dataSource......................none",
    "dataSourceClassName.............none",
    "dataSourceJNDI..................none",
    "dataSourceProperties............{password=<masked>}",
    "driverClassName.................none",
    "healthCheckProperties...........{}",
    "healthCheckRegistry.............none",
    "idleTimeout.....................600000",
    "initializationFailTimeout.......1",
    "isolateInternalQueries..........false",
    "jdbcUrl.........................jdbc:mysql://mysqldb:3306/oauth2?useSSL=false&disableMariaDbDriver",
    "leakDetectionThreshold..........0",
    "maxLifetime.....................1800000",
    "maximumPoolSize.................2",
    "metricRegistry..................none",
    "metricsTrackerFactory...........none",
    "minimumIdle.....................2",
    "password........................<masked>",
    'poolName........................"HikariPool-1"',
    "readOnly........................false",
    "registerMbeans..................false",
    "scheduledExecutor...............none",
    "schema..........................none",
    "threadFactory...................internal",
    "transactionIsolation............default",
    'username........................"mysqluser"',
    "validationTimeout...............5000",
)

_CONNECTIONS = (
    "checkFailFast - HikariPool-1 - Added connection com.mysql.cj.jdbc.ConnectionImpl@«hex:first»",
    "logPoolState - HikariPool-1 - Pool stats (total=1, active=0, idle=1, waiting=0)",
    "call - HikariPool-1 - Added connection com.mysql.cj.jdbc.ConnectionImpl@«hex:second»",
    "logPoolState - HikariPool-1 - After adding stats (total=2, active=0, idle=2, waiting=0)",
)


def _config(name: str) -> tuple[str, ...]:
    return (
        f"{_CONFIG} loadJsonMapConfigWithSpecificConfigLoader - Trying to load {name} with extension yaml, yml or json "
        "by using default loading method.",
        f"{_CONFIG} getConfigStream - Config loaded from externalized folder for {name}.yml in /config",
    )


@cache
def startup(service: str) -> RequestKind:
    """Return the start-up of a service as one kind of request, which comes once; under 100 lines, once thinned."""
    pool = "DEBUG com.zaxxer.hikari"
    lines = (
        *(line for name in _FILES for line in _config(name)),
        *STATUS_LOADING,
        *(
            f"DEBUG c.n.service.SingletonServiceFactory handleSingleImpl - {implementation} registered for {interface}"
            for implementation, interface in _PAIRS
        ),
        f"{pool}.HikariConfig logConfiguration - HikariPool-1 - configuration:",
        *(f"{pool}.HikariConfig logConfiguration - {line}" for line in _POOL),
        "INFO  com.zaxxer.hikari.HikariDataSource getConnection - HikariPool-1 - Starting...",
        "INFO  com.zaxxer.hikari.HikariDataSource getConnection - HikariPool-1 - Start completed.",
        *(f"{pool}.pool.HikariPool {line}" for line in _CONNECTIONS),
        "«jul» com.hazelcast.instance.AddressPicker",
        "INFO: [LOCAL] [dev] [3.12] Picked [«ip»]:5701, using socket "
        "ServerSocket[addr=/0:0:0:0:0:0:0:0,localport=5701]",
        "«jul» com.hazelcast.core.LifecycleService",
        "INFO: [«ip»]:5701 [dev] [3.12] [«ip»]:5701 is STARTED",
        "DEBUG c.n.oauth.cache.ClientMapStore loadAllKeys - loadAllKeys is called",
        "DEBUG c.n.oauth.cache.RefreshTokenMapStore loadAllKeys - loadAllKeys is called",
        f"INFO  com.networknt.server.Server start - com.networknt.oauth2-{service}-1.0.0 registered for discovery",
        "INFO  com.networknt.server.Server serverBind - Https Server started on ip:0.0.0.0 Port:6881",
    )
    return RequestKind("startup", lines, 1, MAIN)
