using System.Buffers;
using System.Text;
using NUnit.Framework;
using RedisFailover.Monitor.Redis;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
public sealed class RespReaderTests
{
    private const string Everything = "+OK\r\n-LOADING x\r\n:-7\r\n$5\r\nh\r\nlo\r\n$-1\r\n*2\r\n+a\r\n*1\r\n:1\r\n*-1\r\n$0\r\n\r\n";

    [Test]
    public void Every_kind_of_reply_is_read_wherever_the_bytes_are_split()
    {
        byte[] bytes = Encoding.ASCII.GetBytes(Everything);
        string whole = Describe(new ReadOnlySequence<byte>(bytes));
        for (int split = 1; split < bytes.Length; split++)
        {
            Assert.That(Describe(Split(bytes, split)), Is.EqualTo(whole), $"split at {split}");
        }

        Assert.That(whole,
            Is.EqualTo("String OK|Error LOADING x|Integer -7|String h\r\nlo|Null |Array [String a,Array [Integer 1]]|Null |String |"));
    }

    [Test]
    public void What_is_not_complete_stays_in_the_buffer()
    {
        byte[] bytes = Encoding.ASCII.GetBytes("*2\r\n+a\r\n$4\r\nab");
        for (int length = 0; length <= bytes.Length; length++)
        {
            var buffer = new ReadOnlySequence<byte>(bytes, 0, length);
            Assert.Multiple(() =>
            {
                Assert.That(RespReader.TryRead(ref buffer, out _), Is.False);
                Assert.That(buffer.Length, Is.EqualTo(length));
            });
        }
    }

    [TestCase("HTTP/1.1 400 Bad Request\r\n")]
    [TestCase("\r\n")]
    [TestCase(":abc\r\n")]
    [TestCase("$-2\r\n")]
    [TestCase("$99999999999\r\n")]
    [TestCase("*999999999\r\n")]
    [TestCase("$1\r\nab\r\n")]
    [TestCase("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n")]
    public void What_is_no_RESP_is_refused(string text)
    {
        var buffer = new ReadOnlySequence<byte>(Encoding.ASCII.GetBytes(text));

        Assert.That(() => RespReader.TryRead(ref buffer, out _), Throws.TypeOf<RedisProtocolException>());
    }

    [Test]
    public void A_line_without_an_end_is_refused_before_it_fills_the_memory()
    {
        var buffer = new ReadOnlySequence<byte>(Encoding.ASCII.GetBytes("+" + new string('x', 70_000)));

        Assert.That(() => RespReader.TryRead(ref buffer, out _), Throws.TypeOf<RedisProtocolException>());
    }

    private static string Describe(ReadOnlySequence<byte> buffer)
    {
        var text = new StringBuilder();
        while (RespReader.TryRead(ref buffer, out RespValue value))
        {
            text.Append(Describe(value)).Append('|');
        }

        return text.ToString();
    }

    private static string Describe(RespValue value) => value.Kind switch
    {
        RespKind.Array => $"Array [{string.Join(',', value.Items.Select(Describe))}]",
        RespKind.Integer => $"Integer {value.Number}",
        _ => $"{value.Kind} {value.Text}",
    };

    private static ReadOnlySequence<byte> Split(byte[] bytes, int at)
    {
        var first = new Segment(bytes.AsMemory(0, at), 0);
        var second = new Segment(bytes.AsMemory(at), at);
        first.Append(second);
        return new ReadOnlySequence<byte>(first, 0, second, bytes.Length - at);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        internal Segment(ReadOnlyMemory<byte> memory, long index)
        {
            Memory = memory;
            RunningIndex = index;
        }

        internal void Append(Segment next) => Next = next;
    }
}
