"""Stack traces of the seven services: what follows an exception header, frame by frame, before any thinning."""

FOREIGN_KEY = (
    "java.sql.SQLIntegrityConstraintViolationException: Cannot delete or update a parent row: a foreign key constraint "
    "fails (`oauth2`.`refresh_token`, CONSTRAINT `refresh_token_ibfk_1` FOREIGN KEY (`client_id`) "
    "REFERENCES `client` (`client_id`))"
)


def _frames(*calls: str) -> tuple[str, ...]:
    return tuple(f"\tat {call}" for call in calls)


_NEXT = ("com.networknt.handler.Handler.next(Handler.java:212)", "com.networknt.handler.Handler.next(Handler.java:233)")

THREAD_BODY = _frames(
    "io.undertow.server.Connectors.executeRootHandler(Connectors.java:387)",
    "io.undertow.server.HttpServerExchange$1.run(HttpServerExchange.java:841)",
    "org.jboss.threads.ContextClassLoaderSavingRunnable.run(ContextClassLoaderSavingRunnable.java:35)",
    "org.jboss.threads.EnhancedQueueExecutor.safeRun(EnhancedQueueExecutor.java:2019)",
    "org.jboss.threads.EnhancedQueueExecutor$ThreadBody.doRunTask(EnhancedQueueExecutor.java:1558)",
    "org.jboss.threads.EnhancedQueueExecutor$ThreadBody.run(EnhancedQueueExecutor.java:1449)",
    "java.base/java.lang.Thread.run(Unknown Source)",
)

HANDLER_CHAIN = (
    _frames(
        *_NEXT,
        "com.networknt.openapi.ValidatorHandler.handleRequest(ValidatorHandler.java:116)",
        *_NEXT,
        "com.networknt.audit.AuditHandler.next(AuditHandler.java:192)",
        "com.networknt.audit.AuditHandler.handleRequest(AuditHandler.java:181)",
        *_NEXT,
        "com.networknt.body.BodyHandler.handleRequest(BodyHandler.java:124)",
        *_NEXT,
        "com.networknt.openapi.OpenApiHandler.handleRequest(OpenApiHandler.java:131)",
        *_NEXT,
        "com.networknt.correlation.CorrelationHandler.handleRequest(CorrelationHandler.java:77)",
        *_NEXT,
        "com.networknt.traceability.TraceabilityHandler.handleRequest(TraceabilityHandler.java:68)",
        *_NEXT,
        "com.networknt.exception.ExceptionHandler.handleRequest(ExceptionHandler.java:76)",
    )
    + THREAD_BODY
)

_JDBC = _frames(
    "com.mysql.cj.jdbc.exceptions.SQLError.createSQLException(SQLError.java:117)",
    "com.mysql.cj.jdbc.exceptions.SQLError.createSQLException(SQLError.java:97)",
    "com.mysql.cj.jdbc.exceptions.SQLExceptionsMapping.translateException(SQLExceptionsMapping.java:122)",
    "com.mysql.cj.jdbc.ClientPreparedStatement.executeInternal(ClientPreparedStatement.java:955)",
    "com.mysql.cj.jdbc.ClientPreparedStatement.executeUpdateInternal(ClientPreparedStatement.java:1094)",
    "com.mysql.cj.jdbc.ClientPreparedStatement.executeUpdateInternal(ClientPreparedStatement.java:1042)",
    "com.mysql.cj.jdbc.ClientPreparedStatement.executeLargeUpdate(ClientPreparedStatement.java:1345)",
    "com.mysql.cj.jdbc.ClientPreparedStatement.executeUpdate(ClientPreparedStatement.java:1027)",
    "com.zaxxer.hikari.pool.ProxyPreparedStatement.executeUpdate(ProxyPreparedStatement.java:61)",
    "com.zaxxer.hikari.pool.HikariProxyPreparedStatement.executeUpdate(HikariProxyPreparedStatement.java)",
    "com.networknt.oauth.cache.ClientMapStore.delete(ClientMapStore.java:33)",
)

_MAP_DELETE = _frames(
    "com.networknt.oauth.cache.ClientMapStore.delete(ClientMapStore.java:19)",
    "com.hazelcast.map.impl.MapStoreWrapper.delete(MapStoreWrapper.java:115)",
    "com.hazelcast.map.impl.mapstore.writethrough.WriteThroughStore.remove(WriteThroughStore.java:56)",
    "com.hazelcast.map.impl.mapstore.writethrough.WriteThroughStore.remove(WriteThroughStore.java:28)",
    "com.hazelcast.map.impl.recordstore.DefaultRecordStore.removeRecord(DefaultRecordStore.java:1034)",
    "com.hazelcast.map.impl.recordstore.DefaultRecordStore.delete(DefaultRecordStore.java:455)",
    "com.hazelcast.map.impl.operation.DeleteOperation.run(DeleteOperation.java:44)",
    "com.hazelcast.spi.Operation.call(Operation.java:170)",
    "com.hazelcast.spi.impl.operationservice.impl.OperationRunnerImpl.call(OperationRunnerImpl.java:210)",
    "com.hazelcast.spi.impl.operationservice.impl.OperationRunnerImpl.run(OperationRunnerImpl.java:199)",
    "com.hazelcast.spi.impl.operationservice.impl.OperationRunnerImpl.run(OperationRunnerImpl.java:416)",
    "com.hazelcast.spi.impl.operationexecutor.impl.OperationThread.process(OperationThread.java:153)",
    "com.hazelcast.spi.impl.operationexecutor.impl.OperationThread.process(OperationThread.java:123)",
    "com.hazelcast.spi.impl.operationexecutor.impl.OperationThread.run(OperationThread.java:110)",
)

_RETHROWN = (
    f"java.lang.RuntimeException: {FOREIGN_KEY}",
    "\tat com.networknt.oauth.cache.ClientMapStore.delete(ClientMapStore.java:36)",
    *_MAP_DELETE,
)

_SUBMITTED = _frames(
    "------ submitted from ------.(Unknown Source)",
    "com.hazelcast.spi.impl.operationservice.impl.InvocationFuture.resolve(InvocationFuture.java:126)",
    "com.hazelcast.spi.impl.operationservice.impl.InvocationFuture.resolveAndThrowIfException(InvocationFuture.java:79)",
    "com.hazelcast.spi.impl.AbstractInvocationFuture.get(AbstractInvocationFuture.java:163)",
    "com.hazelcast.map.impl.proxy.MapProxySupport.invokeOperation(MapProxySupport.java:434)",
    "com.hazelcast.map.impl.proxy.MapProxySupport.deleteInternal(MapProxySupport.java:584)",
    "com.hazelcast.map.impl.proxy.NearCachedMapProxyImpl.deleteInternal(NearCachedMapProxyImpl.java:340)",
    "com.hazelcast.map.impl.proxy.MapProxyImpl.delete(MapProxyImpl.java:292)",
    "com.networknt.oauth.client.handler.Oauth2ClientClientIdDeleteHandler.handleRequest"
    "(Oauth2ClientClientIdDeleteHandler.java:67)",
)

MAP_STORE_FAILURE = (
    FOREIGN_KEY,
    *_JDBC,
    *_MAP_DELETE,
    "«jul» com.hazelcast.map.impl.operation.DeleteOperation",
    f"SEVERE: [«ip»]:5701 [dev] [3.12] {FOREIGN_KEY}",
    *_RETHROWN,
    f"Caused by: {FOREIGN_KEY}",
    *_JDBC,
    "\t... 14 more",
    "",
)
"""What a hazelcast thread logs when MySQL refuses to delete a client, next to its own event."""

DELETE_REFUSED = (*_RETHROWN, *_SUBMITTED, *HANDLER_CHAIN, f"Caused by: {FOREIGN_KEY}", *_JDBC, *_MAP_DELETE)
"""The same refusal as it reaches the handler of DELETE /oauth2/client/{clientId}."""

NULL_KEY = (
    "java.lang.NullPointerException: Null key is not allowed!",
    *_frames(
        "com.hazelcast.util.Preconditions.checkNotNull(Preconditions.java:59)",
        "com.hazelcast.map.impl.proxy.MapProxyImpl.get(MapProxyImpl.java:118)",
        "com.networknt.oauth.client.handler.Oauth2ClientPutHandler.handleRequest(Oauth2ClientPutHandler.java:72)",
    ),
    *HANDLER_CHAIN,
)
"""PUT /oauth2/client without a client id, as Locust sends it."""

STATUS_SET_TWICE = (
    "java.lang.RuntimeException: null",
    *_frames(
        "io.undertow.server.HttpServerExchange.setStatusCode(HttpServerExchange.java:1473)",
        "com.networknt.handler.LightHttpHandler.setExchangeStatus(LightHttpHandler.java:111)",
        "com.networknt.handler.LightHttpHandler.setExchangeStatus(LightHttpHandler.java:73)",
        "com.networknt.exception.ExceptionHandler.handleRequest(ExceptionHandler.java:90)",
    ),
    *THREAD_BODY,
)


def api_exception(body: str, step: str, line: int, caller_line: int) -> tuple[str, ...]:
    """Return the trace of an ApiException that a step of the token handler threw."""
    handler = "com.networknt.oauth.token.handler.Oauth2TokenPostHandler"
    return (
        f"com.networknt.exception.ApiException: {body}",
        *_frames(
            f"{handler}.{step}(Oauth2TokenPostHandler.java:{line})",
            f"{handler}.handleRequest(Oauth2TokenPostHandler.java:{caller_line})",
        ),
        *HANDLER_CHAIN,
    )
