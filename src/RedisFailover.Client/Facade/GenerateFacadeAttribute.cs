namespace RedisFailover.Client;

/// <summary>What the emitted members do with a call.</summary>
internal enum FacadeKind
{
    /// <summary>Send it to the node that is right, and again where that fails.</summary>
    Calls,

    /// <summary>Keep it until the class sends all of them together: a batch, a transaction.</summary>
    Queue,

    /// <summary>Hand it to one node, if that is connected.</summary>
    Server,
}

/// <summary>Marks a class whose StackExchange.Redis interfaces the source generator completes.</summary>
[AttributeUsage(AttributeTargets.Class)]
internal sealed class GenerateFacadeAttribute(FacadeKind kind) : Attribute
{
    public FacadeKind Kind { get; } = kind;
}
