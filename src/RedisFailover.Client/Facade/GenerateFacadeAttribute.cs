namespace RedisFailover.Client;

/// <summary>
/// Marks a class whose StackExchange.Redis interfaces the source generator completes. <paramref name="queues"/>: calls are kept
/// until the class sends them together (a batch, a transaction).
/// </summary>
[AttributeUsage(AttributeTargets.Class)]
internal sealed class GenerateFacadeAttribute(bool queues = false) : Attribute
{
    public bool Queues { get; } = queues;
}
