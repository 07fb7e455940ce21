using System.Buffers;
using System.Buffers.Text;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace RedisFailover.Monitor.Redis;

/// <summary>
/// Reads RESP2 replies out of received bytes. What answers at a node's address may be anything: lengths and depth are limited, and
/// whatever is no RESP is a <see cref="RedisProtocolException"/>.
/// </summary>
internal static class RespReader
{
    private const int MaxLine = 64 * 1024;
    private const int MaxBulk = 16 * 1024 * 1024;
    private const int MaxItems = 100_000;
    private const int MaxDepth = 8;

    /// <summary>Reads one reply and moves the buffer past it; false, with the buffer untouched, when it is not complete yet.</summary>
    internal static bool TryRead(ref ReadOnlySequence<byte> buffer, out RespValue value)
    {
        var reader = new SequenceReader<byte>(buffer);
        if (!TryRead(ref reader, 0, out value))
        {
            return false;
        }

        buffer = buffer.Slice(reader.Position);
        return true;
    }

    private static bool TryRead(ref SequenceReader<byte> reader, int depth, out RespValue value)
    {
        value = RespValue.Null;
        if (!reader.TryReadTo(out ReadOnlySequence<byte> line, "\r\n"u8))
        {
            return reader.Remaining > MaxLine ? throw new RedisProtocolException($"a line of more than {MaxLine} bytes") : false;
        }

        if (line.IsEmpty)
        {
            throw new RedisProtocolException("an empty line where a reply was due");
        }

        byte kind = line.FirstSpan[0];
        ReadOnlySequence<byte> rest = line.Slice(1);
        switch (kind)
        {
            case (byte)'+':
                value = RespValue.String(Encoding.UTF8.GetString(rest));
                return true;
            case (byte)'-':
                value = RespValue.Error(Encoding.UTF8.GetString(rest));
                return true;
            case (byte)':':
                value = RespValue.Integer(Number(rest));
                return true;
            case (byte)'$':
                return TryReadBulk(ref reader, Length(rest, MaxBulk), ref value);
            case (byte)'*':
                return TryReadArray(ref reader, Length(rest, MaxItems), depth, ref value);
            default:
                throw new RedisProtocolException(Unknown(line, kind));
        }
    }

    /// <summary>What was said instead, where people can read it: a web server or a proxy is known by its words.</summary>
    private static string Unknown(ReadOnlySequence<byte> line, byte kind)
    {
        string text = Encoding.UTF8.GetString(line.Slice(0, Math.Min(line.Length, 60)));
        return text.All(c => c is >= ' ' and <= '~')
            ? $"it says '{text}'"
            : string.Create(CultureInfo.InvariantCulture, $"a reply that begins with the byte {kind}");
    }

    private static bool TryReadBulk(ref SequenceReader<byte> reader, int length, ref RespValue value)
    {
        if (length < 0)
        {
            return true;
        }

        if (reader.Remaining < length + 2)
        {
            return false;
        }

        value = RespValue.String(Encoding.UTF8.GetString(reader.UnreadSequence.Slice(0, length)));
        reader.Advance(length);
        return reader.IsNext("\r\n"u8, advancePast: true)
            ? true : throw new RedisProtocolException("a bulk string that does not end where it said");
    }

    private static bool TryReadArray(ref SequenceReader<byte> reader, int length, int depth, ref RespValue value)
    {
        if (length < 0)
        {
            return true;
        }

        if (depth >= MaxDepth)
        {
            throw new RedisProtocolException($"arrays nested more than {MaxDepth} deep");
        }

        ImmutableArray<RespValue>.Builder items = ImmutableArray.CreateBuilder<RespValue>(Math.Min(length, 64));
        for (int i = 0; i < length; i++)
        {
            if (!TryRead(ref reader, depth + 1, out RespValue item))
            {
                return false;
            }

            items.Add(item);
        }

        value = RespValue.Array(items.ToImmutable());
        return true;
    }

    private static int Length(ReadOnlySequence<byte> text, int limit)
    {
        long length = Number(text);
        return length >= -1 && length <= limit
            ? (int)length : throw new RedisProtocolException($"a length of {length}; at most {limit} is taken");
    }

    private static long Number(ReadOnlySequence<byte> text)
    {
        Span<byte> digits = stackalloc byte[24];
        if (text.Length is > 0 and <= 24)
        {
            text.CopyTo(digits);
            if (Utf8Parser.TryParse(digits[..(int)text.Length], out long number, out int consumed) && consumed == text.Length)
            {
                return number;
            }
        }

        throw new RedisProtocolException("a number that is none");
    }
}

/// <summary>What answers does not speak RESP.</summary>
internal sealed class RedisProtocolException(string what) : Exception($"it does not answer as Redis does: {what}");
