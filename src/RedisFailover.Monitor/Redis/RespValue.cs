using System.Collections.Immutable;

namespace RedisFailover.Monitor.Redis;

/// <summary>One reply of Redis (RESP2): a status or bulk string, an error, a number, an array, or null.</summary>
internal sealed record RespValue(RespKind Kind, string? Text, long Number, ImmutableArray<RespValue> Items)
{
    internal static RespValue Null { get; } = new(RespKind.Null, null, 0, []);

    internal bool IsError => Kind == RespKind.Error;

    internal static RespValue String(string text) => new(RespKind.String, text, 0, []);

    internal static RespValue Error(string text) => new(RespKind.Error, text, 0, []);

    internal static RespValue Integer(long number) => new(RespKind.Integer, null, number, []);

    internal static RespValue Array(ImmutableArray<RespValue> items) => new(RespKind.Array, null, items.Length, items);

    /// <summary>Whether it is an error that begins with this word, such as "LOADING".</summary>
    internal bool IsErrorOf(string prefix) => IsError && Text!.StartsWith(prefix, StringComparison.Ordinal);
}

/// <summary>The kinds of RESP2 replies.</summary>
internal enum RespKind
{
    /// <summary>A null bulk string or array.</summary>
    Null,

    /// <summary>A status or a bulk string.</summary>
    String,

    /// <summary>An error.</summary>
    Error,

    /// <summary>A number.</summary>
    Integer,

    /// <summary>An array.</summary>
    Array,
}
