using System.Collections.Immutable;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>
/// A reply of Redis: a text (null for nil), or items. Numbers are texts. An error is thrown instead (<see cref="RedisErrorException"/>).
/// </summary>
public sealed record RedisReply(string? Text, ImmutableArray<RedisReply> Items)
{
    public RedisReply this[int index] => Items[index];

    public override string ToString() => Items.IsDefault ? Text ?? "(nil)" : $"[{string.Join(", ", Items)}]";
}

/// <summary>Redis answered with an error.</summary>
public sealed class RedisErrorException(string message) : Exception(message);
